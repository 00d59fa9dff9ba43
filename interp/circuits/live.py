"""Which writers and readers of a circuit have to be computed: those that lead to its logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from interp.circuits.graph import Graph, Pairs
from interp.components import Head


@dataclass(frozen=True, eq=False)
class Live:
    """Of the writers, which are `needed`: kept edges lead from them to the logits; and which are `fed`: some
    kept edge leads into them. What is needed and not fed writes the same in every circuit."""

    needed: Bool[np.ndarray, " writer"]
    fed: Bool[np.ndarray, " writer"]

    @classmethod
    def of(cls, graph: Graph, kept: Pairs) -> Live:
        """Those of one mask, or of what is in any of several."""
        needed = np.zeros(len(graph.writers), dtype=bool)
        wanted = np.array([each.input == "logits" for each in graph.readers])
        for column in range(len(graph.writers) - 1, -1, -1):
            needed[column] = kept[wanted, column].any()
            if needed[column]:
                wanted |= graph.feeds[:, column]
        fed: Bool[np.ndarray, " writer"] = graph.feeds.T @ kept.any(1)
        return cls(needed, fed)


@dataclass(frozen=True, eq=False)
class Layer:
    """The columns of a layer's heads and of its MLP or the parts of it, and of each head the rows of its
    queries, keys and values."""

    heads: tuple[int, ...]
    nodes: tuple[int, ...]
    rows: Int[np.ndarray, "head 3"]

    @classmethod
    def of(cls, graph: Graph, layer: int) -> Layer:
        """Those of this layer."""
        columns = [column for column, each in enumerate(graph.writers) if each.layer == layer]
        heads = tuple(column for column in columns if isinstance(graph.writers[column], Head))
        nodes = tuple(column for column in columns if column not in heads)
        # Readers come as queries, keys and values.
        rows = np.array([np.flatnonzero(graph.feeds[:, column]) for column in heads])
        return cls(heads, nodes, rows.reshape(len(heads), 3))
