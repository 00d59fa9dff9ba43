"""The model run as circuits: every reader reads what the writers of its kept edges write, and of the removed
ones what ablation puts in the place of that.

Method  Layer by layer, each reader's input is the sum of all ablated writers before it, and on top of it,
        for every kept edge, what its writer now writes minus its ablated value. Where more edges are kept
        than removed the sum is made the other way round. Norms are computed anew at each reader. Writers
        from which no kept edges lead to the logits are not computed, and those that no kept edge leads into
        only once for all circuits: they read what ablation leaves.
Units   Logits at the positions read, `[circuit batch label d_vocab]`.
Source  Conmy et al. 2023, arXiv:2304.14997; Miller et al. 2024, Transformer Circuit Faithfulness Metrics are
        not Robust, arXiv:2407.08734 (edge ablation over all edges at once).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.circuits.graph import Graph, Mask, readers_of
from interp.circuits.live import Live
from interp.circuits.nodes import writes
from interp.circuits.prompts import Prompts, at_numbers
from interp.circuits.writings import Streams, Values, Writings
from interp.errors import UsageError
from interp.transformer import Transformer

# Bytes of what the writers of circuits that run together write: more fall out of the caches.
BLOCK = 16 << 20
# Bytes of what the writers of one circuit write at a time: of more, prompts come in slices.
_SLICE = 256 << 20


@torch.no_grad()
def run_circuits(
    model: Transformer,
    graph: Graph,
    tokens: Int[Tensor, "batch pos"],
    ablated: Tensor,
    kept: Sequence[Mask],
    at: Int[Tensor, "batch label"] | None = None,
    *,
    memory: int = BLOCK,
    places: Int[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "circuit batch label d_vocab"]:
    """The logits of each circuit, by default at each prompt's last position. Several run together while
    what their writers write takes no more than `memory` bytes. With a graph that has places, `places` are
    those of these prompts, and a mask without places is one of all of them.

    Raises  UsageError for a mask of another graph, for ablated values of other prompts, and for places that
            the graph does not have.
    """
    masks = [_checked(graph, mask) for mask in kept]
    expected = (len(graph.writers), *tokens.shape, model.config.d_model)
    if tuple(ablated.shape) != expected:
        raise UsageError(f"expected ablated values {list(expected)}, got {list(ablated.shape)}")
    n_places = len(graph.names) or 1
    if graph.places is None:
        places = torch.zeros_like(tokens)
    elif places is None or places.shape != tokens.shape or int(places.max()) >= n_places:
        raise UsageError(
            f"the graph has edges at {n_places} places: expected the place of every position of the prompts, "
            f"{list(tokens.shape)} numbers below {n_places}, as `graph.places.of(batch)` gives them"
        )
    if at is None:
        at = torch.full_like(tokens[:, :1], tokens.shape[1] - 1)
    each = ablated.element_size() * max(1, ablated[:, :1].numel())
    slices = range(0, len(tokens), max(1, max(memory, _SLICE) // each))
    found = []
    for first in slices:
        some = slice(first, first + slices.step)
        prompts = Prompts(model, graph, tokens[some], ablated[:, some], places[some])
        together = max(1, memory // (each * len(tokens[some])))
        parts = [
            _Together(prompts, masks[start : start + together]).logits(at[some])
            for start in range(0, len(masks), together)
        ]
        found.append(torch.cat(parts))
    return torch.cat(found, 1)


def _checked(graph: Graph, mask: Mask) -> Bool[np.ndarray, "reader writer place"]:
    """The mask with an axis for places."""
    apart = mask[:, :, None] if mask.shape == graph.pairs.shape else mask
    allowed = graph.allowed.reshape(*graph.pairs.shape, -1)
    whole = apart.shape[2:] != allowed.shape[2:]
    if mask.shape not in (graph.allowed.shape, graph.pairs.shape) or (
        (apart & ~(graph.pairs[:, :, None] if whole else allowed)).any()
    ):
        raise UsageError(
            f"expected masks {list(graph.allowed.shape)} of edges that the graph has, got {list(mask.shape)}"
        )
    found: Bool[np.ndarray, "reader writer place"] = apart & allowed
    return found


class _Together:
    """Some circuits, one pass through the layers."""

    def __init__(
        self, prompts: Prompts, masks: Sequence[Bool[np.ndarray, "reader writer place"]]
    ) -> None:
        self.prompts, self.graph, self.n_circuits = prompts, prompts.graph, len(masks)
        kept = np.stack(masks, 1)
        allowed = self.graph.allowed.reshape(*self.graph.pairs.shape, -1)[:, None]
        self.live = Live.of(self.graph, np.asarray(kept.any((1, 3))))
        # Columns of what is written here, and edges that are added to what readers read, or taken away.
        columns = np.flatnonzero(self.live.needed)
        self.removing = bool(kept.sum() * 2 > allowed.sum() * len(masks))
        chosen = (allowed & ~kept if self.removing else kept)[:, :, columns]
        self.writings = Writings(chosen, prompts.sizes, prompts.embedded)
        self.moved: Tensor | None = None
        if self.live.needed[0]:
            self._write(prompts.embedded.expand(1, len(masks), -1, -1), [0])

    def logits(
        self, at: Int[Tensor, "batch label"]
    ) -> Float[Tensor, "circuit batch label d_vocab"]:
        prompts, model = self.prompts, self.prompts.model
        for layer in range(model.config.n_layers):
            self._layer(layer)
        rows = readers_of(self.graph, None, ["logits"])
        stream = prompts.prompted(self._streams(rows, prompts.last, self.moved))[:, :, 0]
        stream = stream.unflatten(0, (self.n_circuits, -1))
        examples = torch.arange(stream.shape[1])[:, None]
        read = model.ln_final(stream[:, examples, at])
        logits: Tensor = model.unembed(read.flatten(0, 1))
        return logits.unflatten(0, read.shape[:2])

    def _layer(self, layer: int) -> None:
        known, (before_heads, before_nodes) = self.prompts.layers[layer], self.prompts.before[layer]
        moved = self.moved
        self._each(layer, known.heads, lambda these: self._heads(layer, these, before_heads))
        moved = moved if self.prompts.model.config.parallel else self.moved
        self._each(layer, known.nodes, lambda these: self._nodes(these, before_nodes, moved))

    def _each(
        self, layer: int, columns: Sequence[int], compute: Callable[[list[int]], Values]
    ) -> None:
        """These writers write, those alone that are needed: as kept edges have it, or as it is without."""
        needed = [column for column in columns if self.live.needed[column]]
        fed = [column for column in needed if self.live.fed[column]]
        still = [column for column in needed if not self.live.fed[column]]
        if not needed:
            return
        if needed == fed:
            return self._write(compute(fed), fed)
        parts = [compute(fed)] if fed else []
        if still:
            constants = self.prompts.constants(layer, still)
            parts.append(constants.expand(-1, self.n_circuits, -1, -1))
        self._write(torch.cat(parts)[np.argsort(fed + still)], needed)

    def _heads(self, layer: int, columns: list[int], base: Tensor) -> Values:
        rows, _ = self.prompts.rows(layer, columns)
        return self.prompts.write_heads(layer, columns, self._streams(rows, base, self.moved))

    def _nodes(self, columns: list[int], base: Tensor, moved: Tensor | None) -> Values:
        rows = [int(np.flatnonzero(self.graph.feeds[:, column])[0]) for column in columns]
        streams, model = self._streams(rows, base, moved), self.prompts.model
        nodes = [self.graph.writers[column] for column in columns]
        pairs = zip(nodes, streams, strict=True)
        written = [writes(model, node, stream) for node, stream in pairs]
        return torch.stack(written) if len(written) > 1 else written[0][None]

    def _write(self, values: Values, columns: list[int]) -> None:
        n = self.writings.n
        self.writings.add(values, at_numbers(self.prompts.ablated, columns)[:, None])
        if self.removing:
            total = self.writings.total(n)
            self.moved = total if self.moved is None else self.moved + total

    def _streams(self, rows: list[int], base: Tensor, moved: Tensor | None) -> Streams:
        """What these readers read, each its own sum; `base` of ablated values, `moved` all that is written
        minus these."""
        sums = self.writings.sums(rows)
        if moved is not None:
            base = base + moved
        if sums is None:
            return base.expand(self.n_circuits, *base.shape[-2:]).repeat(len(rows), 1, 1, 1)
        return torch.sub(base, sums, out=sums) if self.removing else sums.add_(base)
