"""What a circuit's picture needs: where its parts stand and how its edges run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp.report.diagrams import Edge, Graph, Node
from interp.report.heads import head_name
from interp.report.numbers import Scaled

ACROSS, UP = 92, 62
BOX = (66, 26)
EDGE_WIDTH = (0.6, 6.0)
# Weaker edges stand in the list alone.
MOST_EDGES = 300


@dataclass(frozen=True)
class Box:
    """A part and the middle of its box."""

    node: Node
    head: str
    x: float
    y: float

    @property
    def label(self) -> str:
        name = self.node.name
        return name if len(name) <= 9 else name[:8] + "…"


@dataclass(frozen=True)
class Line:
    """An edge: its curve, width and colour; `rank` is its place by weight."""

    edge: Edge
    kind: str
    path: str
    width: str
    strength: str


@dataclass(frozen=True)
class GraphView:
    """One graph, ready for the template: layers upwards, the strongest edge drawn last."""

    boxes: list[Box]
    lines: list[Line]
    layers: list[tuple[str, float]]
    size: tuple[int, int]
    rows: list[tuple[Edge, str]]
    left_out: int

    @classmethod
    def of(cls, block: Graph) -> GraphView:
        edges = sorted(block.edges, key=lambda edge: -abs(edge.weight))
        shown = edges[:MOST_EDGES]
        places, layers, size = _layout(block.nodes, shown)
        boxes = [Box(node, head_name(node.name), *places[node.name]) for node in block.nodes]
        largest = abs(edges[0].weight) if edges else 0.0
        number = Scaled(largest, signed=any(edge.weight < 0 for edge in edges))
        lines = [_line(edge, places, largest) for edge in reversed(shown)]
        rows = [(edge, number(edge.weight) + number.factor) for edge in edges]
        return cls(boxes, lines, layers, size, rows, len(edges) - len(shown))


def _layout(
    nodes: Sequence[Node], edges: list[Edge]
) -> tuple[dict[str, tuple[float, float]], list[tuple[str, float]], tuple[int, int]]:
    """The middle of every box: a line a layer, each part below or above what it is tied to most.

    Two sweeps of barycentres: enough to untangle most circuits, and always the same.
    """
    lines: dict[int, list[str]] = {}
    for node in nodes:
        lines.setdefault(node.layer, []).append(node.name)
    widest = max(len(names) for names in lines.values())
    order = sorted(lines)
    x = {
        name: _spread(i, len(lines[layer]), widest)
        for layer in order
        for i, name in enumerate(lines[layer])
    }
    ties: dict[str, list[tuple[str, float]]] = {name: [] for name in x}
    for edge in edges:
        ties[edge.source].append((edge.target, abs(edge.weight)))
        ties[edge.target].append((edge.source, abs(edge.weight)))
    for layers in (order, order[::-1]):
        for layer in layers:
            names = sorted(lines[layer], key=lambda name: _centre(name, ties, x))
            for i, name in enumerate(names):
                x[name] = _spread(i, len(names), widest)
            lines[layer] = names
    top = UP * (len(order) - 1)
    places = {
        name: (x[name], top - UP * row + UP / 2)
        for row, layer in enumerate(order)
        for name in lines[layer]
    }
    marks = [(str(layer), top - UP * row + UP / 2) for row, layer in enumerate(order)]
    return places, marks, (widest * ACROSS + 40, UP * len(order))


def _spread(index: int, number: int, widest: int) -> float:
    """Parts of a layer are spread evenly over the picture's width."""
    return 40 + widest * ACROSS * (index + 0.5) / number


def _centre(name: str, ties: dict[str, list[tuple[str, float]]], x: dict[str, float]) -> float:
    weight = sum(w for _, w in ties[name])
    return sum(x[other] * w for other, w in ties[name]) / weight if weight else x[name]


def _line(edge: Edge, places: dict[str, tuple[float, float]], largest: float) -> Line:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    y1, y2 = y1 - BOX[1] / 2, y2 + BOX[1] / 2
    bend = (y1 - y2) / 2
    share = abs(edge.weight) / largest if largest else 0.0
    width = EDGE_WIDTH[0] + (EDGE_WIDTH[1] - EDGE_WIDTH[0]) * share
    path = f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 - bend:.0f} {x2:.0f} {y2 + bend:.0f} {x2:.0f} {y2:.0f}"
    return Line(
        edge, "n" if edge.weight < 0 else "p", path, f"{width:.1f}", f"{0.25 + 0.7 * share:.2f}"
    )
