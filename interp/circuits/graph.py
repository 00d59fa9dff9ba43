"""The model as a graph: what writes to the residual stream, what reads from it, and the edges between.

Writers are the embeddings (of tokens and positions together), every head and every MLP; biases are none, and
close the sums. Readers are the queries of every head, the keys and the values of every key/value head, every
MLP, and the logits. An edge says that a reader's input has what a writer writes in it. In a parallel block a
layer's heads do not feed its MLP. With places an edge is at one place of the prompts, where its writer writes
and its reader reads: only inside heads does anything go from one place to another.

Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593; Conmy et al. 2023, Towards Automated
        Circuit Discovery, arXiv:2304.14997.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Shaped

from interp import components
from interp.circuits.places import Places
from interp.components import MLP, Component, Embedding, Head, KVHead, Logits
from interp.components.component import Of, named
from interp.errors import UsageError, brief
from interp.methods.propagation import Input, Receiver

Mask = Bool[np.ndarray, "reader writer *place"]
Pairs = Bool[np.ndarray, "reader writer"]
Cell = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """What one component writes, as far as one input of another reads it; at one place, or at all."""

    writer: Component
    reader: Component
    input: Input
    position: str | None = None

    def __str__(self) -> str:
        at = "" if self.position is None else f" at {self.position}"
        return f"{self.writer} → {self.reader}.{self.input}{at}"

    def columns(self) -> dict[str, Any]:
        """What begins its row of a table."""
        found = {"writer": str(self.writer), "reader": str(self.reader), "input": self.input}
        return found if self.position is None else found | {"position": self.position}


@dataclass(frozen=True, eq=False)
class Graph:
    """Writers and readers in the order in which a model computes them. `allowed` says which writer comes
    before which reader: where there is an edge; with `places` in which of them too, where logits are read
    only at END."""

    writers: tuple[Component, ...]
    readers: tuple[Receiver, ...]
    allowed: Mask
    places: Places | None = None

    @classmethod
    def of(
        cls,
        of: Of,
        *,
        private: bool = False,
        parts: Mapping[MLP, Sequence[Component]] | None = None,
    ) -> Graph:
        """The graph of a model, or of a config. Keys and values are read once a key/value head, or with
        `private` copies once a query head; where every head has its own they are the head's. `parts` stand
        in the place of an MLP, each with an input of its own (`interp.circuits.nodes`).

        Raises  UsageError for parts of an MLP that the model has not, or of another layer.
        """
        parts = parts or {}
        for mlp, some in parts.items():
            mlp.check(of)
            if not some or any(each.layer != mlp.layer for each in some):
                raise UsageError(f"the parts of {mlp} are one or more components of its layer")
        config = named(of)[1]
        writers: list[Component] = [Embedding()]
        readers: list[Receiver] = []
        before: list[int] = []
        own_keys = private or config.n_kv_heads == config.n_heads
        shared = components.heads(of) if own_keys else components.kv_heads(of)
        for layer in range(config.n_layers):
            heads = [each for each in components.heads(of) if each.layer == layer]
            keys: list[Component] = [each for each in shared if each.layer == layer]
            own = [Receiver(head, "q") for head in heads]
            own += [Receiver(each, kind) for kind in ("k", "v") for each in keys]
            readers += own
            before += [len(writers)] * len(own)
            reads = len(writers)
            writers += heads
            if config.d_mlp:
                nodes = parts.get(MLP(layer), (MLP(layer),))
                reads = reads if getattr(config, "parallel", False) else len(writers)
                readers += [Receiver(each, "mlp") for each in nodes]
                before += [reads] * len(nodes)
                writers += nodes
        readers.append(Receiver(Logits(), "logits"))
        before.append(len(writers))
        return cls(
            tuple(writers),
            tuple(readers),
            np.arange(len(writers))[None] < np.array(before)[:, None],
        )

    def at_places(self, places: Places | None) -> Graph:
        """The same with every edge told apart by these places, or with None by no place."""
        allowed = self.pairs
        if places is not None:
            allowed = allowed[:, :, None] & np.ones(len(places), dtype=bool)
            ends = [row for row, each in enumerate(self.readers) if each.input == "logits"]
            allowed[ends] &= places.read
        return replace(self, allowed=allowed, places=places)

    @cached_property
    def pairs(self) -> Pairs:
        """Which writer comes before which reader, whatever the place."""
        if self.places is None:
            return self.allowed
        return np.asarray(self.allowed.any(-1))

    def check_plain(self, what: str) -> None:
        """Raises a UsageError, which says what takes no such graph, if it has places or parts of MLPs."""
        if self.places is not None or any(hasattr(each, "writes") for each in self.writers):
            raise UsageError(
                f"{what} are of graphs without places and without parts of MLPs; circuits of such graphs are "
                "run by run_circuits and evaluate"
            )

    @property
    def n_edges(self) -> int:
        """How many edges there are."""
        return int(self.allowed.sum())

    @cached_property
    def _row(self) -> Mapping[tuple[Component, Input], int]:
        return {(each.component, each.input): row for row, each in enumerate(self.readers)}

    @cached_property
    def _column(self) -> Mapping[Component, int]:
        return {each: column for column, each in enumerate(self.writers)}

    def at(self, edge: Edge) -> Cell:
        """The row and the column of an edge, and the number of its place where there are places.

        Raises  UsageError for an edge that this graph does not have.
        """
        row, column = self._row.get((edge.reader, edge.input)), self._column.get(edge.writer)
        place: tuple[int, ...] | None = () if edge.position is None else None
        if self.places is not None:
            place = (
                (names.index(edge.position),) if edge.position in (names := self.names) else None
            )
        if None in (row, column, place) or not self.allowed[row, column, *(place or ())]:
            raise UsageError(f"the graph has no edge {brief(str(edge))}: {self._lacks(edge)}")
        assert row is not None
        assert column is not None
        return row, column, *(place or ())

    @property
    def names(self) -> tuple[str, ...]:
        """What its places are called; none without places."""
        return () if self.places is None else self.places.names

    def _lacks(self, edge: Edge) -> str:
        if edge.writer not in self._column:
            return f"{edge.writer} is none of its {len(self.writers)} writers"
        if (edge.reader, edge.input) not in self._row:
            return f"{edge.reader} has no input {edge.input!r} there"
        if edge.position is None and self.places is not None:
            return f"its edges are each at a place: {brief(', '.join(self.names))}"
        if edge.position not in (None, *self.names):
            return (
                f"its places are {brief(', '.join(self.names)) if self.names else 'not told apart'}"
            )
        if not self.pairs[self._row[edge.reader, edge.input], self._column[edge.writer]]:
            return f"{edge.writer} is not computed before {edge.reader} reads"
        return "logits are read only at END"

    def mask(self, edges: Iterable[Edge]) -> Mask:
        """True for these edges.

        Raises  UsageError for an edge that this graph does not have.
        """
        found = np.zeros_like(self.allowed)
        for edge in edges:
            found[self.at(edge)] = True
        return found

    def edge(self, row: int, column: int, place: int | None = None) -> Edge:
        """The edge of this row and column, at this place."""
        reader = self.readers[row]
        name = None if place is None else self.names[place]
        return Edge(self.writers[column], reader.component, reader.input, name)

    def edges(self, mask: Mask | None = None) -> list[Edge]:
        """The edges of a mask, by default all, in the order of their readers."""
        return [self.edge(*cell) for cell in self.cells(mask)]

    def cells(self, mask: Mask | None = None) -> list[Cell]:
        """The rows, columns and places of the edges of a mask, by default of all."""
        mask = self.allowed if mask is None else mask & self.allowed
        return [tuple(cell) for cell in np.argwhere(mask).tolist()]

    def frame(
        self, values: Mapping[str, Shaped[np.ndarray, "reader writer *place"]]
    ) -> pd.DataFrame:
        """writer, reader, input, with places position, and these columns, a row for every edge."""
        cells = np.nonzero(self.allowed)
        rows, columns, *place = cells
        writers = np.array([str(each) for each in self.writers])
        readers = np.array([str(each.component) for each in self.readers])
        inputs = np.array([each.input for each in self.readers])
        named = {"writer": writers[columns], "reader": readers[rows], "input": inputs[rows]}
        if place:
            named["position"] = np.array(self.names)[place[0]]
        return pd.DataFrame(named | {name: each[cells] for name, each in values.items()})

    @cached_property
    def feeds(self) -> Pairs:
        """Which readers a writer's own output depends on, `[reader writer]`: its queries, keys and values,
        or what its MLP reads."""
        found = np.zeros_like(self.pairs)
        for column, writer in enumerate(self.writers):
            for row, reader in enumerate(self.readers):
                found[row, column] = _belongs(reader.component, writer, self.group)
        return found

    @cached_property
    def group(self) -> int:
        """How many query heads read the keys and values of one reader."""
        heads = sum(isinstance(each, Head) for each in self.writers)
        kv_heads = sum(isinstance(each.component, KVHead) for each in self.readers) // 2
        return heads // kv_heads if kv_heads else 1

    def pruned(self, mask: Mask) -> Mask:
        """Without dead ends: every edge that is left lies on a path from the embedding to the logits. With
        places a path leaves its place only from keys and values of a head to its queries at or after them."""
        places = self.places
        n = 1 if places is None else len(places)
        reaches = np.ones((1, 1), dtype=bool) if places is None else places.reaches
        mask = (mask & self.allowed).reshape(*self.pairs.shape, n)
        stays = np.array([each.input not in ("k", "v") for each in self.readers])
        reached = np.zeros((len(self.writers), n), dtype=bool)
        reached[0] = True
        for column in range(1, len(self.writers)):
            rows = self.feeds[:, column]
            arrives = (mask[rows & stays] & reached).any((0, 1))
            keys = (mask[rows & ~stays] & reached).any((0, 1))
            reached[column] = arrives | reaches[keys].any(0)
        mask = mask & reached
        wanted = np.zeros((len(self.readers), n), dtype=bool)
        wanted[-1] = True
        for column in range(len(self.writers) - 1, -1, -1):
            needed = (mask[:, column] & wanted).any(0)
            rows = self.feeds[:, column]
            wanted[rows & stays] |= needed
            wanted[rows & ~stays] |= reaches[:, needed].any(1)
        found: Mask = (mask & wanted[:, None]).reshape(self.allowed.shape)
        return found


def _belongs(reader: Component, writer: Component, group: int) -> bool:
    if isinstance(reader, KVHead) and isinstance(writer, Head):
        return reader.layer == writer.layer and reader.index == writer.index // group
    return reader == writer


def top(scores: Shaped[np.ndarray, "reader writer *place"], allowed: Mask, n: int) -> Mask:
    """The n edges of the largest scores, of those that have one (not NaN); the first of equal ones in the
    order of the readers."""
    known = allowed & ~np.isnan(scores)
    flat = np.where(known, scores, -np.inf).ravel()
    order = np.argsort(-flat, kind="stable")[: min(n, int(known.sum()))]
    found = np.zeros(flat.shape, dtype=bool)
    found[order] = True
    return found.reshape(allowed.shape)


def readers_of(graph: Graph, layer: int | None, inputs: Sequence[Input]) -> list[int]:
    """The rows of these inputs of one layer (None: of the logits)."""
    return [
        row
        for row, each in enumerate(graph.readers)
        if each.component.layer == layer and each.input in inputs
    ]
