"""A circuit as a figure and as paths: which edges are drawn, by layer and by place."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from interp import report
from interp.circuits.graph import Cell, Graph, Mask
from interp.circuits.paths import Scored, paths, strongest_edges
from interp.circuits.stability import STABLE
from interp.components import Component
from interp.report import Node, Table, Text
from interp.report.numbers import exact

# More edges than these nobody can follow in a figure; so many a larger one holds, which opens on demand.
READABLE, LARGE = 40, 150
PATHS = 20
# Of an edge's score, what is less than this at a place is not drawn there.
PART = 0.05
NO_LANES: Mapping[Component, str] = MappingProxyType({})


def graph(
    of: Graph,
    kept: Mask,
    effects: Scored,
    unit: str,
    n: int = READABLE,
    *,
    stable: Mask | None = None,
    lanes: Mapping[Component, str] = NO_LANES,
) -> report.Graph:
    """The kept edges on the strongest paths, layers upwards, as wide as their effect; on demand so many more
    as a larger figure holds. Edges that are not `stable` are dashed. Lanes are the places of a graph that has
    places, else the components' roles in `lanes`."""
    first = strongest_edges(of, kept, effects, n)
    every = first | strongest_edges(of, kept, effects, LARGE)
    nodes: dict[str, Node] = {}
    edges = []
    for cell in of.cells(every):
        edge = of.edge(*cell)
        writer = _node(edge.writer, edge.position, of, lanes)
        for component, position in _read_by(of, every, cell):
            reader = _node(component, position, of, lanes)
            nodes |= {writer.name: writer, reader.name: reader}
            edges.append(
                report.Edge(
                    writer.name,
                    reader.name,
                    float(effects[cell]),
                    edge.input if edge.input in ("q", "k", "v") else "",
                    stable is None or bool(stable[cell]),
                    more=not first[cell],
                )
            )
    shown, total = int(first.sum()), int(kept.sum())
    rest = "" if shown == total else f" of {total:,}"
    where = ", by position" if of.names else ""
    shared = (
        " Shared keys and values are drawn to each head that reads them." if _shares(of) else ""
    )
    dashed = (
        f" Dashed: chosen in under {STABLE:.0%} of draws of templates."
        if stable is not None
        else ""
    )
    return report.Graph(
        f"The circuit{where}: {shown}{rest} edges on its strongest paths",
        list(nodes.values()),
        edges,
        unit=unit,
        note="Layers upwards. An edge is as wide as its score; red edges help, since removing them lowers "
        f"the metric. q, k and v say what reads it.{shared}{dashed}"
        + (f" What is under {PART:.0%} of an edge's score is not drawn." if of.names else ""),
        lanes=[name for name in of.names if any(node.lane == name for node in nodes.values())],
    )


def by_position(
    placed: Graph, kept: Mask, by_place: Float[np.ndarray, "reader writer place"], unit: str
) -> list[report.Graph | Text]:
    """The circuit with its edges where their scores are, if these make whole paths."""
    parts = at_places(placed, kept, by_place)
    if not placed.pruned(parts).any():
        return [Text("By position the parts of the edges that have a score make no whole path.")]
    return [graph(placed, parts, by_place, unit)]


def at_places(
    placed: Graph, kept: Mask, by_place: Float[np.ndarray, "reader writer place"]
) -> Bool[np.ndarray, "reader writer place"]:
    """The kept edges in the places where their scores are: without parts that are less than `PART` of all."""
    size = np.abs(np.nan_to_num(by_place))
    return placed.allowed & kept[..., None] & (size >= PART * size.sum(-1, keepdims=True))


def _shares(of: Graph) -> bool:
    return any(each.component.kind == "kv_head" for each in of.readers)


def _node(
    component: Component, position: str | None, of: Graph, lanes: Mapping[Component, str]
) -> Node:
    row = component.kind if component.layer is None else str(component.layer)
    height = _height(component, of)
    if position is None:
        return Node(str(component), height, component.kind, row, lanes.get(component, ""))
    return Node(f"{component} at {position}", height, component.kind, row, position, str(component))


def _read_by(of: Graph, drawn: Mask, cell: Cell) -> list[tuple[Component, str | None]]:
    """What reads an edge, and where it writes on: of keys and values those heads that are drawn, at the
    places at or after them."""
    row, _, *place = cell
    reader = of.readers[row]
    names: Sequence[str | None] = of.names or [None]
    if reader.input not in ("k", "v"):
        return [(reader.component, names[place[0] if place else 0])]
    writes = drawn.any(0).reshape(len(of.writers), len(names))
    places = [0] if of.places is None else np.flatnonzero(of.places.reaches[place[0]]).tolist()
    heads = np.flatnonzero(of.feeds[row]).tolist()
    return [
        (of.writers[head], names[each]) for head in heads for each in places if writes[head, each]
    ]


def _height(component: Component, of: Graph) -> int:
    """Twice the layer, MLPs above the heads that they read; the embedding below, the logits above all."""
    if component.kind == "embed":
        return 0
    if component.kind == "logits":
        return 4 + 2 * max(each.layer or 0 for each in of.writers)
    return 2 * (component.layer or 0) + (2 if component.kind == "mlp" else 1)


def strongest(
    of: Graph,
    kept: Mask,
    effects: Scored,
    placed: Graph,
    by_place: Float[np.ndarray, "reader writer place"],
    n: int = PATHS,
) -> Table:
    """The strongest paths of a circuit: path, edges, weakest (the score of its weakest edge), and edge by
    edge the scores, and the place where most of each is with its share."""
    rows = [
        [
            str(path),
            len(path.edges),
            path.weakest,
            ", ".join(map(exact, path.scores)),
            ", ".join(_most(placed.names, by_place[cell]) for cell in path.cells),
        ]
        for path in paths(of, kept, effects, n)
    ]
    frame = pd.DataFrame(rows, columns=["path", "edges", "weakest", "scores", "positions"])
    note = (
        "From the embedding to the logits. A path is as strong as its weakest edge: no path that is left "
        "out has a stronger one. Edge by edge, scores are over all paths through the edge, and positions say "
        "where most of the score is, with its share of the score at all positions."
    )
    return Table("paths", frame, title="The strongest paths", note=note, first_rows=10)


def _most(names: Sequence[str], scores: Float[np.ndarray, " place"]) -> str:
    """ "END 93%": the place with the largest score, and its share of the sum of magnitudes."""
    size = np.abs(np.nan_to_num(scores))
    return f"{names[int(size.argmax())]} {size.max() / size.sum():.0%}" if size.any() else "–"
