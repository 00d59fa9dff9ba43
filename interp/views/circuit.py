"""A circuit as blocks: its curve beside random circuits, its audit, its edges and components."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.circuits.circuit import Circuit
from interp.circuits.graph import Graph, Mask
from interp.circuits.judge import Judged
from interp.report import Curve, Headline, Section, Series, Table, Text
from interp.stats.selection import EXTREME
from interp.views import rules


def sizes(frame: pd.DataFrame, floor: float, kept: int = 0) -> Curve:
    """Faithfulness over the number of edges, beside that of the complement and of random circuits of each
    size, which some sizes have none of; marked at the edges `kept`."""
    named = {name: frame[name].to_numpy() for name in frame.columns}
    beside = {name: each[np.isfinite(named["random_high"])] for name, each in named.items()}
    ends = named["ci_low"], named["ci_high"]
    return Curve(
        "How much of the model circuits of each size do on held-out prompts",
        [
            Series("circuit, 95 % interval", named["edges"], named["faithfulness"], *ends),
            Series("its complement", named["edges"], named["complement"]),
            Series(
                "random circuits, smallest to largest",
                beside["edges"],
                beside["random_high"],
                beside["random_low"],
                beside["random_high"],
            ),
        ],
        "edges kept",
        "faithfulness",
        levels=[("whole model", 1.0), (f"floor {floor:g}", floor)],
        marks=[(f"{kept:,} edges", kept)] if kept else [],
    )


def curve(judged: Judged, kept: int = 0) -> list[Curve | Table | Text]:
    """The curve over sizes, marked at the edges `kept`, and its table: fraction, edges, faithfulness, ci_low,
    ci_high, complement, random_low, random_high, kl, agreement and n; of random circuits the smallest and the
    largest. Beside it the curve of edges ranked by magnitude, and the areas under both."""
    frame = judged.curve
    note = (
        "Faithfulness: ratio of means of templates' means; 1 is the whole model, 0 the empty circuit. kl: "
        "nats from the whole model; agreement: share of prompts with its first token."
    )
    tables: list[Curve | Table | Text] = [
        Table("faithfulness", frame, note=note, first_rows=len(frame))
    ]
    if len(judged.by_magnitude):
        title = "The same sizes, edges ranked by magnitude"
        tables.append(Table("faithfulness_by_magnitude", judged.by_magnitude, title=title))
    return [sizes(frame, judged.floor, kept), *tables, *areas(judged)]


def why(judged: Judged) -> str:
    """A sentence for the answer where the verdict is not what was expected; nothing where it is."""
    if judged.verdict == "supported":
        return ""
    return f" {judged.verdict.capitalize()}: {judged.ruling.why}."


def shares(judged: Judged) -> Table:
    """The circuit and its complement, on all held-out prompts and on those of each variant."""
    note = (
        "kl: nats from the whole model; agreement: share of prompts with its first token. A logit difference "
        "can be restored while the output is not. What the complement does is done without the circuit."
    )
    frame = judged.shares()
    title = "The circuit and its complement on held-out prompts"
    return Table("shares", frame, title=title, note=note, first_rows=len(frame))


def areas(judged: Judged) -> list[Text | Table]:
    """The areas under the curves, and where one does more than the model, why."""
    note = (
        "cpr: area under faithfulness; cmd: between it and 1, trapezoids over the fractions measured. MIB "
        "takes cpr of the signed ranking, cmd of that by magnitude, with edges per query head."
    )
    found: list[Text | Table] = [
        Table("areas", judged.areas, title="Areas under the curves", note=note)
    ]
    parts = judged.curve[judged.curve["fraction"] < 1]
    most = parts.iloc[int(parts["faithfulness"].argmax())]
    # What is printed as 1.00 is not above 1.
    if most["faithfulness"] >= 1.005:
        largest = judged.areas.loc[judged.areas["ranking"] == "signed", "cpr"].max()
        above = f"CPR is {largest:.2f} for this reason" if largest > 1 else "CPR rewards this"
        found.append(
            Text(
                f"{int(most['edges']):,} edges have a faithfulness of {most['faithfulness']:.2f}, above 1: "
                "they are ranked by how much removing one lowers the metric, so that those that work against "
                "the answer come last, and a circuit without them does more than the model. "
                f"{above}; CMD counts it as a distance from the model."
            )
        )
    return found


def controls(judged: Judged) -> list[Text | Table]:
    """The rule, and the random circuits that the verdict rests on."""
    n, length = len(judged.random), float(judged.share.high - judged.share.low)
    alike = judged.alike.iloc[:n].mean()
    said = rules.rule(
        f"the circuit is one of {n} connected random circuits of as many edges, spread over the layers' "
        f"inputs alike: {alike['same_inputs']:.0%} of their edges lead into the same inputs of the same "
        f"layers as its own, {alike['shared']:.0%} are its own; it has to be surely ahead, paired prompt by "
        f"prompt, of so many that p ≤ {EXTREME:g}, and p is {judged.p:.3g}",
        f"prompts like the {judged.task.n} held-out ones, of {judged.share.clusters} templates that chose "
        "nothing",
        f"the interval of faithfulness is {length:.2f} long; it has to lie within [{judged.floor:g}, "
        f"{2 - judged.floor:g}]",
    )
    title = "Random circuits on held-out prompts"
    note = "ahead: what the chosen circuit does more, with the lower end of its interval over templates."
    return [said, Table("controls", judged.controls(), title=title, note=note, first_rows=5)]


def headlines(judged: Judged, circuit: Circuit) -> list[Headline]:
    """Faithfulness, the divergence beside it, how many edges, and the rank among random circuits."""
    share, n_edges = judged.share, circuit.graph.n_edges
    own, nothing = (judged.shares().iloc[row] for row in (0, 2))
    return [
        Headline(
            "faithfulness", float(share.value), "", float(share.low), float(share.high), share.n
        ),
        Headline(
            "KL from the whole model",
            float(own["kl"]),
            "nats",
            note=f"empty circuit {nothing['kl']:.3g}; same first token on {own['agreement']:.0%} of prompts, "
            f"empty circuit {nothing['agreement']:.0%}",
        ),
        Headline("edges kept", f"{len(circuit):,} of {n_edges:,}", note=f"{circuit.fraction:.2%}"),
        Headline(
            "rank among random circuits, p", judged.p, note=f"{len(judged.random)} of its size"
        ),
    ]


def audit(sample: pd.DataFrame, agree: pd.DataFrame) -> Section:
    """Exact effects beside scores, stratum by stratum, and the sample."""
    return Section(
        "What the scores are worth",
        [
            Table("agreement", agree, title="Exact effects beside scores", first_rows=len(agree)),
            Table("audit", sample, title="The edges that were removed one by one"),
        ],
        intro="Slope: exact for each unit of score. In the whole graph an edge weighs as many as it was "
        "drawn for.",
    )


def edges(of: Graph, columns: Mapping[str, np.ndarray]) -> Table:
    """writer, reader, input and these columns, score and kept among them: a row for every edge that has a
    score, kept and strong ones first."""
    frame = of.frame(columns).dropna(subset=["score"])
    order = np.lexsort((-frame["score"].abs().to_numpy(), ~frame["kept"].to_numpy(dtype=bool)))
    note = "exact: what removing the edge by itself does, where the audit measured it."
    return Table("edges", frame.iloc[order], title="Every edge that has a score", note=note)


def components(of: Graph, kept: Mask, effects: Float[np.ndarray, "reader writer"]) -> Table:
    """component, edges_in, edges_out and score_out: one row for every writer that the circuit reads."""
    rows = []
    for column, writer in enumerate(of.writers):
        out = int(kept[:, column].sum())
        if out:
            into = int(kept[of.feeds[:, column]].sum())
            score = float(effects[kept[:, column], column].sum())
            rows.append([str(writer), into, out, score])
    frame = pd.DataFrame(rows, columns=["component", "edges_in", "edges_out", "score_out"])
    order = frame["score_out"].abs().sort_values(ascending=False, kind="stable").index
    return Table("components", frame.loc[order], title="Components of the circuit", first_rows=15)
