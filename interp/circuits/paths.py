"""The strongest paths of a circuit from the embedding to the logits. A path is as strong as its weakest edge.

Method  Edges are added from the strongest down. Every path that an added edge closes has this edge as its
        weakest: so paths come in their order, and none has to be looked at before it is as strong as that.
        Of those that one edge closes, the ones with the larger product of scores come first.
Units   Those of the scores; a path's strength has no sign, its edges have theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest
from itertools import islice

import numpy as np
from jaxtyping import Float

from interp.circuits.graph import Cell, Edge, Graph, Mask

Scored = Float[np.ndarray, "reader writer *place"]
# A writer and the place at which it writes; without places all of them are the first.
Node = tuple[int, int]
# Of the paths that one edge closes, so many are looked at.
_CLOSED = 64


@dataclass(frozen=True)
class Path:
    """Edges from the embedding to the logits, each read by what writes the next, and their scores."""

    edges: tuple[Edge, ...]
    scores: tuple[float, ...]
    cells: tuple[Cell, ...]

    @property
    def weakest(self) -> float:
        """The score of the smallest magnitude."""
        return min(self.scores, key=abs)

    @cached_property
    def _product(self) -> float:
        return sum(math.log(abs(score) or 1e-300) for score in self.scores)

    def __str__(self) -> str:
        # Keys and values that heads share are read by each of them: the path goes on through one.
        named = [*(str(edge.writer) for edge in self.edges[1:]), str(self.edges[-1].reader)]
        inputs = [f".{edge.input}" if edge.input in ("q", "k", "v") else "" for edge in self.edges]
        at = [f" at {edge.position}" if edge.position is not None else "" for edge in self.edges]
        steps = [a + b + c for a, b, c in zip(named, inputs, at, strict=True)]
        return " → ".join([str(self.edges[0].writer), *steps])


def strongest_edges(graph: Graph, kept: Mask, scores: Scored, n: int) -> Mask:
    """The kept edges on the strongest paths: all edges as strong as the weakest of these, without dead ends,
    as many as do not exceed n. Where the first paths to be whole have more, as many of these as fit."""
    size = np.where(kept & ~np.isnan(scores), np.abs(scores), -1).ravel()
    order = np.argsort(-size, kind="stable")[: int((size >= 0).sum())]

    def first(number: int) -> Mask:
        found = np.zeros(size.size, dtype=bool)
        found[order[:number]] = True
        return graph.pruned(found.reshape(kept.shape))

    low, high = 0, len(order)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first(middle).sum() <= n else (low, middle - 1)
    found = first(low)
    if not found.any():
        for path in paths(graph, kept, scores, n):
            both = found.copy()
            both[tuple(np.array(path.cells).T)] = True
            found = both if both.sum() <= n or not found.any() else found
    return found


def paths(graph: Graph, kept: Mask, scores: Scored, n: int) -> list[Path]:
    """The n strongest paths of the kept edges, the strongest first; edges without a score are on none."""
    edges = graph.pruned(kept & ~np.isnan(scores))
    cells = sorted(graph.cells(edges), key=lambda cell: -abs(float(scores[cell])))
    growing = _Growing(graph)
    found: list[Path] = []
    for cell in cells:
        growing.add(cell)
        closed = [_path(graph, each, scores) for each in islice(growing.through(cell), _CLOSED)]
        found += nlargest(n - len(found), closed, key=lambda path: path._product)
        if len(found) >= n:
            break
    return found


class _Growing:
    """Edges that are added one by one, and which writers the embedding reaches and which lead to the logits:
    ways are followed only where they are whole."""

    def __init__(self, graph: Graph) -> None:
        self.feeds = [np.flatnonzero(row).tolist() for row in graph.feeds]
        self.stays = [each.input not in ("k", "v") for each in graph.readers]
        places = graph.places
        self.reaches = (
            [[0]] if places is None else [np.flatnonzero(row).tolist() for row in places.reaches]
        )
        self.last = len(graph.readers) - 1
        self.into: dict[Node, list[Cell]] = {}
        self.out: dict[Node, list[Cell]] = {}
        self.reached: set[Node] = {(0, place) for place in range(len(self.reaches))}
        self.leading: set[Node] = set()

    def source(self, cell: Cell) -> Node:
        """What writes it."""
        return cell[1], cell[2] if len(cell) > 2 else 0

    def fed(self, cell: Cell) -> list[Node]:
        """What writes on with it: at its place or, through keys and values, at those that read there."""
        place = self.source(cell)[1]
        places = [place] if self.stays[cell[0]] else self.reaches[place]
        return [(writer, each) for writer in self.feeds[cell[0]] for each in places]

    def add(self, cell: Cell) -> None:
        """Puts an edge among those out of its writer, and those into every writer that its reader feeds."""
        self.out.setdefault(self.source(cell), []).append(cell)
        for fed in self.fed(cell):
            self.into.setdefault(fed, []).append(cell)
        following = [cell]
        while following:
            each = following.pop()
            new = set(self.fed(each)) - self.reached if self.source(each) in self.reached else set()
            self.reached |= new
            following += [onward for fed in new for onward in self.out.get(fed, ())]
        following = [cell]
        while following:
            each = following.pop()
            source = self.source(each)
            if source not in self.leading and self._leads(each):
                self.leading.add(source)
                following += self.into.get(source, ())

    def _leads(self, cell: Cell) -> bool:
        return cell[0] == self.last or not self.leading.isdisjoint(self.fed(cell))

    def through(self, cell: Cell) -> Iterator[tuple[Cell, ...]]:
        """Every whole path through an edge, those through strong edges first."""
        if self.source(cell) in self.reached:
            for after in self._after(cell):
                for before in self._before(cell):
                    yield (*before, cell, *after)

    def _before(self, cell: Cell) -> Iterator[tuple[Cell, ...]]:
        if cell[1] == 0:
            yield ()
        for previous in self.into.get(self.source(cell), ()):
            if self.source(previous) in self.reached:
                for way in self._before(previous):
                    yield (*way, previous)

    def _after(self, cell: Cell) -> Iterator[tuple[Cell, ...]]:
        if cell[0] == self.last:
            yield ()
        for fed in self.fed(cell):
            for following in self.out.get(fed, ()):
                if self._leads(following):
                    for way in self._after(following):
                        yield (following, *way)


def _path(graph: Graph, cells: tuple[Cell, ...], scores: Scored) -> Path:
    values = tuple(float(scores[cell]) for cell in cells)
    return Path(tuple(graph.edge(*cell) for cell in cells), values, cells)
