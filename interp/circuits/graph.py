"""The model as a graph: what writes to the residual stream, what reads from it, and the edges between.

Writers are the embeddings (of tokens and positions together), every head and every MLP; biases are none, and
close the sums. Readers are the queries of every head, the keys and the values of every key/value head, every
MLP, and the logits. An edge says that a reader's input has what a writer writes in it. In a parallel block a
layer's heads do not feed its MLP.

Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593; Conmy et al. 2023, Towards Automated
        Circuit Discovery, arXiv:2304.14997.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Shaped

from interp import components
from interp.components import MLP, Component, Embedding, Head, KVHead, Logits
from interp.components.component import Of, named
from interp.errors import UsageError, brief
from interp.methods.receivers import Input, Receiver

Mask = Bool[np.ndarray, "reader writer"]


@dataclass(frozen=True, slots=True)
class Edge:
    """What one component writes, as far as one input of another reads it."""

    writer: Component
    reader: Component
    input: Input

    def __str__(self) -> str:
        return f"{self.writer} → {self.reader}.{self.input}"

    def columns(self) -> dict[str, Any]:
        """What begins its row of a table."""
        return {"writer": str(self.writer), "reader": str(self.reader), "input": self.input}


@dataclass(frozen=True, eq=False)
class Graph:
    """Writers and readers in the order in which a model computes them. `allowed` says which writer comes
    before which reader: where there is an edge."""

    writers: tuple[Component, ...]
    readers: tuple[Receiver, ...]
    allowed: Mask

    @classmethod
    def of(cls, of: Of, *, private: bool = False) -> Graph:
        """The graph of a model, or of a config. Keys and values are read once a key/value head, or with
        `private` copies once a query head; where every head has its own they are the head's."""
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
                readers.append(Receiver(MLP(layer), "mlp"))
                before.append(reads if getattr(config, "parallel", False) else len(writers))
                writers.append(MLP(layer))
        readers.append(Receiver(Logits(), "logits"))
        before.append(len(writers))
        return cls(
            tuple(writers),
            tuple(readers),
            np.arange(len(writers))[None] < np.array(before)[:, None],
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

    def at(self, edge: Edge) -> tuple[int, int]:
        """The row and the column of an edge.

        Raises  UsageError for an edge that this graph does not have.
        """
        row, column = self._row.get((edge.reader, edge.input)), self._column.get(edge.writer)
        if row is None or column is None or not self.allowed[row, column]:
            raise UsageError(f"the graph has no edge {brief(str(edge))}: {self._lacks(edge)}")
        return row, column

    def _lacks(self, edge: Edge) -> str:
        if edge.writer not in self._column:
            return f"{edge.writer} is none of its {len(self.writers)} writers"
        if (edge.reader, edge.input) not in self._row:
            return f"{edge.reader} has no input {edge.input!r} there"
        return f"{edge.writer} is not computed before {edge.reader} reads"

    def mask(self, edges: Iterable[Edge]) -> Mask:
        """True for these edges.

        Raises  UsageError for an edge that this graph does not have.
        """
        found = np.zeros_like(self.allowed)
        for edge in edges:
            found[self.at(edge)] = True
        return found

    def edge(self, row: int, column: int) -> Edge:
        """The edge of this row and column."""
        reader = self.readers[row]
        return Edge(self.writers[column], reader.component, reader.input)

    def edges(self, mask: Mask | None = None) -> list[Edge]:
        """The edges of a mask, by default all, in the order of their readers."""
        return [self.edge(*cell) for cell in self.cells(mask)]

    def cells(self, mask: Mask | None = None) -> list[tuple[int, int]]:
        """The rows and columns of the edges of a mask, by default of all."""
        mask = self.allowed if mask is None else mask & self.allowed
        return [(int(row), int(column)) for row, column in np.argwhere(mask)]

    def frame(self, values: Mapping[str, Shaped[np.ndarray, "reader writer"]]) -> pd.DataFrame:
        """writer, reader, input and these columns, a row for every edge."""
        rows, columns = np.nonzero(self.allowed)
        writers = np.array([str(each) for each in self.writers])
        readers = np.array([str(each.component) for each in self.readers])
        inputs = np.array([each.input for each in self.readers])
        named = {"writer": writers[columns], "reader": readers[rows], "input": inputs[rows]}
        return pd.DataFrame(named | {name: each[rows, columns] for name, each in values.items()})

    @cached_property
    def feeds(self) -> Mask:
        """Which readers a writer's own output depends on, `[reader writer]`: its queries, keys and values,
        or what its MLP reads."""
        found = np.zeros_like(self.allowed)
        for column, writer in enumerate(self.writers):
            for row, reader in enumerate(self.readers):
                found[row, column] = _belongs(reader.component, writer, self._group)
        return found

    @cached_property
    def _group(self) -> int:
        heads = sum(isinstance(each, Head) for each in self.writers)
        kv_heads = sum(isinstance(each.component, KVHead) for each in self.readers) // 2
        return heads // kv_heads if kv_heads else 1

    def pruned(self, mask: Mask) -> Mask:
        """Without dead ends: every edge that is left lies on a path from the embedding to the logits."""
        mask = mask & self.allowed
        reached = np.zeros(len(self.writers), dtype=bool)
        reached[0] = True
        for column in range(1, len(self.writers)):
            rows = self.feeds[:, column]
            reached[column] = bool((mask[rows] & reached).any())
        mask = mask & reached
        needed = np.zeros(len(self.writers), dtype=bool)
        last = len(self.readers) - 1
        wanted = np.zeros(len(self.readers), dtype=bool)
        wanted[last] = True
        for column in range(len(self.writers) - 1, -1, -1):
            needed[column] = bool(mask[wanted, column].any())
            if needed[column]:
                wanted |= self.feeds[:, column]
        found: Mask = mask & wanted[:, None]
        return found


def _belongs(reader: Component, writer: Component, group: int) -> bool:
    if isinstance(reader, KVHead) and isinstance(writer, Head):
        return reader.layer == writer.layer and reader.index == writer.index // group
    return reader == writer


def top(scores: Shaped[np.ndarray, "reader writer"], allowed: Mask, n: int) -> Mask:
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
