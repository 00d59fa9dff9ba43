"""What else a circuit was held against: itself without an edge, the model without its components, and other
choices of it."""

import pandas as pd

from interp.circuits.controls import uniform_circuits
from interp.circuits.graph import Graph, Mask
from interp.circuits.minimality import needed
from interp.circuits.stability import STABLE, Stability, compared
from interp.circuits.sums import SumRule
from interp.report import Check, Section, Table, Text
from interp.transformer import Transformer
from interp.views import tolerance


def stability(found: Stability, kept: Mask, others: dict[str, Mask]) -> Section:
    """How like the circuit other choices of as many edges are."""
    frame = compared(kept, found, others)
    share = int((found.stable & kept).sum()) / max(1, int(kept.sum()))
    note = (
        "Jaccard: edges in both circuits among those in either. Of resampled templates the median, with the "
        f"middle 95 % of {len(found.overlap)} draws."
    )
    return Section(
        "Would it be chosen again",
        [Table("stability", frame, title="Other choices of as many edges", note=note)],
        intro=f"{share:.0%} of its edges are in at least {STABLE:.0%} of the circuits chosen from resampled "
        "templates: the column stable of the table of edges.",
    )


def minimality(frame: pd.DataFrame) -> Section:
    """Every edge's removal from the circuit beside random edges' addition to it."""
    n_added = int((frame["kind"] == "added").sum())
    note = (
        "effect: what the edge adds within the circuit. as_large: the share of added edges that do as much. "
        "probability: of having been drawn, where not all edges were."
    )
    said = f"Only {n_added} random edges could be added to it: too few to say how many of its own do more."
    if n_added >= 20:
        said = (
            f"Removing {needed(frame):.0%} of its edges changes it more than 19 of 20 of the {n_added} "
            "random edges do that were added to it."
        )
    return Section(
        "Is every edge needed",
        [Table("minimality", frame, title="Edges removed and added", note=note)],
        intro=said,
    )


def completeness(frame: pd.DataFrame) -> Section:
    """What circuit and model do without the same components."""
    worst = frame.iloc[int(frame["share"].argmax())]
    note = (
        "difference: circuit minus model without the same components; share: its size as a share of what the "
        "model does more than the empty circuit. The greedy set was chosen on other prompts."
    )
    order = frame.sort_values("share", ascending=False, kind="stable")
    return Section(
        "Is anything missing",
        [Table("completeness", order, title="Without the same components", note=note)],
        intro=f"The two are furthest apart, by {worst['share']:.0%} of what the model does, without "
        f"{worst['removed']} ({worst['kind']}).",
    )


def added_up(rules: list[SumRule], model: Transformer) -> list[Check]:
    """Whether scores add up: those that do so exactly to rounding, and integrated ones, of which so few steps
    miss something, to less than what they add up to."""
    return [
        Check(
            f"{each.method}: {each.what}",
            each.residual,
            each.scale if each.steps else tolerance.through(model, each.scale),
            note=f"{each.steps} steps; what more steps would find" if each.steps else "",
        )
        for each in rules
    ]


def uniform(graph: Graph, n_edges: int, seed: int = 0, number: int = 40) -> Text:
    """How many circuits as large, drawn from all edges alike, are connected at all."""
    drawn = uniform_circuits(graph, n_edges, number, seed)
    connected = sum(bool(graph.pruned(each).any()) for each in drawn)
    return Text(
        f"Of {number} circuits of {n_edges:,} edges drawn from all alike, {connected} have a path from the "
        "embedding to the logits at all; the others do what the empty circuit does."
    )
