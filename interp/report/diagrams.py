"""Blocks drawn from parts: values prompt by prompt, the stream by depth, a circuit as a graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interp.report.pictures import Numbers
from interp.report.require import array, assign, floats, require, same_length, texts


@dataclass(frozen=True)
class Distribution:
    """One value a prompt, for each of some rows: a dot for every prompt and a line at the mean.

    `groups` says for every prompt what it is coloured by, `examples` what it reads. `low` and
    `high` are the ends of an interval of each row's mean, where it has one; `means` takes the place
    of the mean of all prompts where an estimate uses only some.
    """

    title: str
    rows: Sequence[str]
    values: Any
    unit: str = ""
    means: Numbers | None = None
    low: Numbers | None = None
    high: Numbers | None = None
    groups: Sequence[str] | None = None
    examples: Sequence[str] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        where = f"Distribution {self.title!r}"
        values = array(self.values, where, ndim=2, nan=True)
        require(values.size > 0, f"{where} is empty, shape {values.shape}; leave the block out")
        assign(self, values=values, rows=texts(self.rows))
        same_length(f"{where} rows", len(self.rows), "the values' rows", values.shape[0])
        for name in ("groups", "examples"):
            if getattr(self, name) is not None:
                assign(self, **{name: texts(getattr(self, name))})
                same_length(
                    f"{where} {name}", len(getattr(self, name)), "the prompts", values.shape[1]
                )
        require(
            (self.low is None) == (self.high is None),
            f"{where} needs both ends of its intervals or neither",
        )
        for name in ("means", "low", "high"):
            if getattr(self, name) is not None:
                ends = array(getattr(self, name), f"{where} {name}", ndim=1, nan=True)
                same_length(f"{where} {name}", len(ends), "rows", len(self.rows))
                assign(self, **{name: ends})


@dataclass(frozen=True)
class Flow:
    """What each layer writes along one direction, from the embedding down, and what it adds up to.

    `values` is [step writer]: what each writer, such as heads or MLP, adds at each step. `parts`
    names single parts of a step as (step, name, value), such as (24, "L23H3", 2.17).
    """

    title: str
    steps: Sequence[str]
    writers: Sequence[str]
    values: Any
    parts: Sequence[Any] = ()
    unit: str = ""
    total: str = "so far"
    note: str = ""

    def __post_init__(self) -> None:
        where = f"Flow {self.title!r}"
        values = array(self.values, where, ndim=2)
        require(values.size > 0, f"{where} is empty, shape {values.shape}; leave the block out")
        assign(self, values=values, steps=texts(self.steps), writers=texts(self.writers))
        same_length(f"{where} steps", len(self.steps), "the values' steps", values.shape[0])
        same_length(f"{where} writers", len(self.writers), "the values' writers", values.shape[1])
        parts = tuple(
            (int(step), str(name), float(floats([value], f"{where} part {name!r}")[0]))
            for step, name, value in self.parts
        )
        steps = range(len(self.steps))
        require(
            all(step in steps for step, *_ in parts),
            f"{where} has a part of a step that is not among its {len(self.steps)}",
        )
        assign(self, parts=parts)


@dataclass(frozen=True)
class Node:
    """A part of a circuit. `layer` decides its height: what it feeds has a larger one.

    Parts whose layers follow each other and have one `row` stand in one band of that name, by default
    the layer's; those of one `lane`, such as a position or a role, above each other. `label` is what its
    box says, by default its name.
    """

    name: str
    layer: int
    kind: str = "head"
    row: str = ""
    lane: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        assign(self, layer=int(self.layer))


@dataclass(frozen=True)
class Edge:
    """What one part passes to another; `via` says where it enters, such as q, k or v. One that is not
    `stable` is dashed; one of the `more` stands in the larger figure, which opens on demand."""

    source: str
    target: str
    weight: float
    via: str = ""
    stable: bool = True
    more: bool = False

    def __post_init__(self) -> None:
        assign(self, weight=float(floats([self.weight], f"Edge {self.source} → {self.target}")[0]))
        assign(self, stable=bool(self.stable), more=bool(self.more))


@dataclass(frozen=True)
class Graph:
    """A circuit: parts by layer, the input below, and edges as wide as their weight. `lanes` orders the
    parts' lanes from left to right, by default as they come."""

    title: str
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    unit: str = ""
    note: str = ""
    lanes: Sequence[str] = ()

    def __post_init__(self) -> None:
        where = f"Graph {self.title!r}"
        assign(self, nodes=tuple(self.nodes), edges=tuple(self.edges))
        for kind, items in ((Node, self.nodes), (Edge, self.edges)):
            for item in items:
                require(
                    isinstance(item, kind),
                    f"{where} expected {kind.__name__}, got {type(item).__name__}",
                )
        layers = {node.name: node.layer for node in self.nodes}
        require(bool(layers), f"{where} has no nodes; leave the block out")
        require(len(layers) == len(self.nodes), f"{where} has two nodes of one name; rename one")
        own = tuple(dict.fromkeys(node.lane for node in self.nodes))
        lanes = texts(self.lanes) or own
        for lane in own:
            require(
                lane in lanes, f"{where} has a node in lane {lane!r}, which is none of its lanes"
            )
        assign(self, lanes=lanes)
        for edge in self.edges:
            for name in (edge.source, edge.target):
                require(
                    name in layers, f"{where} has an edge at {name!r}, which is none of its nodes"
                )
            require(
                layers[edge.source] < layers[edge.target],
                f"{where} has an edge {edge.source} → {edge.target} that does not go up; "
                "give later parts a larger layer",
            )
