"""A circuit as blocks: its graph, its curve beside random circuits, its audit, its edges and components."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp import report
from interp.circuits.circuit import Circuit
from interp.circuits.graph import Graph, Mask
from interp.circuits.judge import Judged
from interp.components import Component
from interp.report import Chart, Headline, Node, Section, Series, Table, Text
from interp.stats.selection import EXTREME
from interp.views import rules

# More edges than these nobody can follow in a figure.
READABLE = 40


def graph(
    of: Graph, kept: Mask, effects: Float[np.ndarray, "reader writer"], unit: str, n: int = READABLE
) -> report.Graph:
    """The strongest kept edges that form paths, layers upwards, as wide as their effect."""
    order = np.argsort(-np.abs(np.where(kept, effects, 0)).ravel(), kind="stable")
    shown = np.zeros(kept.size, dtype=bool)
    for size in range(n, 8 * n, n):
        shown[order[:size]] = True
        paths = of.pruned(shown.reshape(kept.shape) & kept)
        if paths.sum() >= n // 2:
            break
    drawn = paths if paths.any() else shown.reshape(kept.shape) & kept
    nodes: dict[str, Node] = {}
    edges = []
    for row, column in of.cells(drawn):
        edge = of.edge(row, column)
        for reader in _read_by(of, drawn, row):
            for each in (edge.writer, reader):
                nodes.setdefault(str(each), Node(str(each), _height(each, of), each.kind))
            edges.append(
                report.Edge(str(edge.writer), str(reader), float(effects[row, column]), edge.input)
            )
    return report.Graph(
        f"The {len(edges)} strongest edges on paths through the circuit",
        list(nodes.values()),
        edges,
        unit=unit,
        note="An edge is as wide as its score; red edges help. What heads read as shared keys and values is "
        "drawn to each of them. All edges are in the table.",
    )


def _read_by(of: Graph, drawn: Mask, row: int) -> list[Component]:
    """The component that reads; of keys and values that heads share, those heads that are drawn."""
    reader = of.readers[row].component
    if reader.kind != "kv_head":
        return [reader]
    sharing = of.feeds[row] & drawn.any(0)
    return [of.writers[column] for column in np.flatnonzero(sharing)] or [reader]


def _height(component: Component, of: Graph) -> int:
    """Twice the layer, MLPs above the heads that they read; the embedding below, the logits above all."""
    if component.kind == "embed":
        return 0
    if component.kind == "logits":
        return 4 + 2 * max(each.layer or 0 for each in of.writers)
    return 2 * (component.layer or 0) + (2 if component.kind == "mlp" else 1)


def curve(judged: Judged) -> list[Chart | Table | Text]:
    """The curve over sizes and its table: fraction, edges, faithfulness, ci_low, ci_high, complement,
    random_low, random_high, kl, agreement and n; of random circuits the smallest and the largest. Beside it
    the curve of edges ranked by magnitude, and the areas under both."""
    frame, drawn = judged.curve, judged.curve.dropna(subset="random_high")
    x = frame["edges"].tolist()
    named = {name: frame[name].to_numpy() for name in frame.columns}
    ends = named["ci_low"], named["ci_high"]
    chart = Chart(
        "How much of the model circuits of each size do on held-out prompts",
        "line",
        [
            Series("circuit", x, named["faithfulness"], *ends),
            Series("its complement", x, named["complement"]),
            Series(
                "random circuits, largest", drawn["edges"].tolist(), drawn["random_high"].to_numpy()
            ),
        ],
        "edges kept",
        "faithfulness",
    )
    note = (
        "Faithfulness: ratio of means of templates' means; 1 is the whole model, 0 the empty circuit. kl: "
        "nats from the whole model; agreement: share of prompts with its first token."
    )
    tables: list[Chart | Table | Text] = [
        Table("faithfulness", frame, note=note, first_rows=len(frame))
    ]
    if len(judged.by_magnitude):
        title = "The same sizes, edges ranked by magnitude"
        tables.append(Table("faithfulness_by_magnitude", judged.by_magnitude, title=title))
    return [chart, *tables, *areas(judged)]


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
    most = judged.curve.iloc[int(judged.curve["faithfulness"].argmax())]
    if most["faithfulness"] > 1:
        largest = judged.areas["cpr"].max()
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
    alike = judged.alike.mean()
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
    """Faithfulness, how many edges, and the rank among random circuits."""
    share, n_edges = judged.share, circuit.graph.n_edges
    return [
        Headline(
            "faithfulness", float(share.value), "", float(share.low), float(share.high), share.n
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
