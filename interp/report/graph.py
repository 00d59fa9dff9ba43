"""What a circuit's picture needs: its parts in bands by layer, and its edges beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from interp.report import layered
from interp.report.diagrams import Edge, Graph, Node
from interp.report.numbers import Scaled
from interp.report.visible import head_name

# Of a box with its room to the sides, of an edge that passes one, of a rank, and what stands above and left.
ACROSS, BESIDE, UP = 76, 13, 54
BOX = (64, 24)
LEFT, EDGE = 58, 14
EDGE_WIDTH = (0.9, 6.5)
# Where an edge enters is written below a box in so many letters at most, so far apart.
PORT_LETTERS, PORT = 2, 17
# Weaker edges stand in the list alone.
MOST_EDGES = 300
SPOKEN = 6


@dataclass(frozen=True)
class Box:
    """A part and the middle of its box; `ports` are the inputs written below it, with their x."""

    node: Node
    head: str
    x: float
    y: float
    ports: list[tuple[str, float]]

    @property
    def label(self) -> str:
        name = self.node.label or self.node.name
        return name if len(name) <= 9 else name[:8] + "…"


@dataclass(frozen=True)
class Line:
    """An edge: its curve, width and colour."""

    edge: Edge
    kind: str
    path: str
    width: str
    strength: str


@dataclass(frozen=True)
class Band:
    """The ranks of one name, or a lane: where it begins, how far it reaches, and where its name stands."""

    name: str
    start: float
    size: float

    @property
    def middle(self) -> float:
        return self.start + self.size / 2


@dataclass(frozen=True)
class Drawing:
    """One figure of some of the edges: bands from the top, the strongest edge drawn last."""

    boxes: list[Box]
    lines: list[Line]
    bands: list[Band]
    lanes: list[Band]
    size: tuple[int, int]


@dataclass(frozen=True)
class GraphView:
    """One graph, ready for the template: the figure to read and, where there are more edges, the larger one;
    `rows` has every edge with its weight as text."""

    drawings: list[Drawing]
    rows: list[tuple[Edge, str]]
    left_out: int
    unstable: bool
    signs: str
    widest: str
    spoken: str

    @property
    def boxes(self) -> list[Box]:
        """The parts of the figure that shows most of them."""
        return self.drawings[-1].boxes

    @classmethod
    def of(cls, block: Graph) -> "GraphView":
        edges = sorted(block.edges, key=lambda edge: -abs(edge.weight))
        first = [edge for edge in edges if not edge.more][:MOST_EDGES]
        shown = {id(edge) for edge in first}
        rest = [edge for edge in edges if id(edge) not in shown][: MOST_EDGES - len(first)]
        largest = abs(edges[0].weight) if edges else 0.0
        number = Scaled(largest, signed=any(edge.weight < 0 for edge in edges))
        several = [first, first + rest] if rest else [first]
        rows = [(edge, number(edge.weight) + number.factor) for edge in edges]
        drawn = [edge for edge in edges if edge.weight]
        spoken = [f"{each.source} to {each.target}, {text}" for each, text in rows[:SPOKEN]]
        return cls(
            [_drawing(block, part, largest) for part in several],
            rows,
            len(edges) - len(several[-1]),
            not all(edge.stable for edge in edges),
            "".join(dict.fromkeys("n" if edge.weight < 0 else "p" for edge in drawn)),
            rows[0][1] if rows else "",
            "; ".join(spoken),
        )


def _drawing(block: Graph, edges: list[Edge], largest: float) -> Drawing:
    ends = {name for edge in edges for name in (edge.source, edge.target)}
    all_ends = {name for edge in block.edges for name in (edge.source, edge.target)}
    nodes = [node for node in block.nodes if node.name in ends or node.name not in all_ends]
    rank, bands = _ranks(nodes, edges)
    lane = {node.name: block.lanes.index(node.lane) for node in nodes}
    tied = [(edge.source, edge.target, _share(edge, largest)) for edge in edges]
    found = layered.places(rank, tied, lane, ACROSS, BESIDE)
    top = EDGE + (18 if len(found.lanes) > 1 else 0)
    height = {each: top + UP * (max(rank.values()) - each) + UP / 2 for each in set(rank.values())}
    x = {name: LEFT + at for name, at in found.nodes.items()}
    ports = {node.name: _ports(node.name, x[node.name], edges) for node in nodes}
    boxes = [
        Box(
            node,
            head_name(node.name),
            x[node.name],
            height[rank[node.name]],
            [port for port in ports[node.name].items() if port[0]],
        )
        for node in nodes
    ]
    lines = []
    for edge, between in zip(edges, found.between, strict=True):
        first, last = rank[edge.source], rank[edge.target]
        way = [(x[edge.source], height[first])]
        way += [(LEFT + at, height[first + 1 + i]) for i, at in enumerate(between)]
        target = ports[edge.target].get(edge.via, x[edge.target])
        lines.append(_line(edge, [*way, (target, height[last])], largest))
    tall = top + UP * (max(rank.values()) + 1)
    named = [
        Band(name, top + UP * (max(rank.values()) - ranks[-1]), UP * len(ranks))
        for name, ranks in reversed(bands)
    ]
    lanes = [
        Band(block.lanes[each], LEFT + low, high - low)
        for each, (low, high) in found.lanes.items()
        if len(found.lanes) > 1
    ]
    return Drawing(boxes, lines[::-1], named, lanes, (round(LEFT + found.width + 8), tall + EDGE))


def _ranks(
    nodes: Sequence[Node], edges: Sequence[Edge]
) -> tuple[dict[str, int], list[tuple[str, list[int]]]]:
    """The rank of every node from below, and the ranks of each band. A band has as many as its own edges
    need: most have none within, and are one line."""
    order = sorted(nodes, key=lambda node: node.layer)
    band = {node.name: node.row or str(node.layer) for node in nodes}
    rank: dict[str, int] = {}
    bands: list[tuple[str, list[int]]] = []
    at = 0
    for name, group in groupby(order, key=lambda node: band[node.name]):
        members = [node.name for node in group]
        depth = dict.fromkeys(members, 0)
        for member in members:
            for edge in edges:
                if edge.target == member and edge.source in depth:
                    depth[member] = max(depth[member], depth[edge.source] + 1)
        rank.update({member: at + depth[member] for member in members})
        tall = max(depth.values()) + 1
        bands.append((name, list(range(at, at + tall))))
        at += tall
    return rank, bands


def _ports(name: str, x: float, edges: Sequence[Edge]) -> dict[str, float]:
    """Where each kind of input enters, from left to right by name; one alone or a long one in the middle."""
    kinds = sorted({edge.via for edge in edges if edge.target == name})
    if not all(0 < len(kind) <= PORT_LETTERS for kind in kinds) or len(kinds) * PORT > BOX[0]:
        return {}
    return {kind: x + PORT * (i - (len(kinds) - 1) / 2) for i, kind in enumerate(kinds)}


def _line(edge: Edge, way: list[tuple[float, float]], largest: float) -> Line:
    """From the top of one box to the bottom of another, upright where it passes others."""
    half = BOX[1] / 2
    at, y = way[0]
    path = f"M{at:.1f} {y - half:.1f}"
    for place, (x, middle) in enumerate(way[1:], start=1):
        start, end = y - half, middle + half
        bend = (start - end) * 0.55
        path += f"C{at:.1f} {start - bend:.1f} {x:.1f} {end + bend:.1f} {x:.1f} {end:.1f}"
        if place < len(way) - 1:
            path += f"V{middle - half:.1f}"
        at, y = x, middle
    share = _share(edge, largest)
    width = EDGE_WIDTH[0] + (EDGE_WIDTH[1] - EDGE_WIDTH[0]) * share
    kind = "n" if edge.weight < 0 else "p"
    return Line(edge, kind, path, f"{width:.1f}", f"{0.5 + 0.45 * share:.2f}")


def _share(edge: Edge, largest: float) -> float:
    return abs(edge.weight) / largest if largest else 0.0
