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
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.circuits.graph import Graph, Mask, readers_of
from interp.circuits.live import Layer, Live
from interp.circuits.nodes import writes
from interp.circuits.writings import Streams, Values, Writings
from interp.circuits.written import Written, bias
from interp.errors import UsageError
from interp.transformer import Transformer
from interp.transformer.contract import einsum
from interp.transformer.norm import LayerNorm, at_least_float32

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
        prompts = _Prompts(model, graph, tokens[some], ablated[:, some], places[some])
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


class _Prompts:
    """What all circuits on some prompts have in common: tokens in the order of their places, the residual
    stream of ablated values that each layer reads, and what writers make of that."""

    def __init__(
        self,
        model: Transformer,
        graph: Graph,
        tokens: Int[Tensor, "batch pos"],
        ablated: Written,
        places: Int[Tensor, "batch pos"],
    ) -> None:
        self.model, self.graph, self.shape = model, graph, tokens.shape
        self.sizes = torch.bincount(places.flatten(), minlength=len(graph.names) or 1).tolist()
        self.order = places.flatten().argsort(stable=True) if len(self.sizes) > 1 else None
        real = torch.ones_like(tokens, dtype=torch.bool)
        embedded = model.embed(tokens)
        self.around = model.surroundings(real, embedded)
        if model.config.positions == "learned":
            embedded = embedded + model.pos_embed(tokens, self.around.positions)
        self.embedded = self.placed(embedded.flatten(0, 1))
        self.ablated = self.placed(ablated.flatten(1, 2))
        self.layers = [Layer.of(graph, layer) for layer in range(model.config.n_layers)]
        # What heads read, what MLPs read, and last what the logits are read from.
        self.before: list[tuple[Tensor, Tensor]] = []
        total = self.ablated[0]
        for number, layer in enumerate(self.layers):
            start = total
            total = self._plus(total, layer.heads)
            if (b_O := bias(model, number)) is not None:
                total = total + b_O
            self.before.append((start, start if model.config.parallel else total))
            total = self._plus(total, layer.nodes)
        self.last = total
        self._constant: dict[int, Tensor] = {}

    def _plus(self, total: Tensor, columns: Sequence[int]) -> Tensor:
        return total + self.ablated[columns[0] : columns[-1] + 1].sum(0) if columns else total

    def placed(self, values: Float[Tensor, "..."]) -> Tensor:
        """Tokens of all prompts in the order of their places."""
        return values if self.order is None else values.index_select(-2, self.order)

    def prompted(
        self, values: Float[Tensor, "head circuit _ d_head"]
    ) -> Float[Tensor, "batch pos head d_head"]:
        """Tokens by prompt again, the prompts of each circuit after those of the one before."""
        if self.order is not None:
            values = values.index_select(2, self.order.argsort())
        each = "head circuit (batch pos) d_head -> (circuit batch) pos head d_head"
        return rearrange(values, each, batch=self.shape[0])

    def constants(self, layer: int, columns: list[int]) -> Float[Tensor, "writer 1 _ d_model"]:
        """What these writers of a layer write where no kept edge leads into them."""
        new = [column for column in columns if column not in self._constant]
        heads, nodes = self.before[layer]
        if new_heads := [column for column in new if column in self.layers[layer].heads]:
            rows, _ = self.rows(layer, new_heads)
            found = self.attended(layer, new_heads, heads.repeat(len(rows), 1, 1, 1))
            self._constant |= dict(zip(new_heads, found, strict=True))
        for column in new:
            if column not in new_heads:
                self._constant[column] = writes(self.model, self.graph.writers[column], nodes[None])
        return torch.stack([self._constant[column] for column in columns])

    def rows(self, layer: int, columns: Sequence[int]) -> tuple[list[int], list[list[int]]]:
        """The rows that some heads of a layer read, each once, as queries, keys and values; and of each
        head which of them it has."""
        known = self.layers[layer]
        rows = known.rows[[known.heads.index(column) for column in columns]].T
        kinds = [np.unique(each, return_inverse=True) for each in rows]
        return (
            [int(row) for each, _ in kinds for row in each],
            [of.tolist() for _, of in kinds],
        )

    def attended(self, layer: int, columns: Sequence[int], streams: Streams) -> Values:
        """What these heads write where `streams` are those of their `rows`, which are overwritten."""
        rows, of = self.rows(layer, columns)
        attn, norm = self.model.block(layer).attn, self.model.block(layer).ln1
        weights = {"q": (attn.W_Q, attn.b_Q), "k": (attn.W_K, attn.b_K), "v": (attn.W_V, attn.b_V)}
        read = []
        first = 0
        for kind, (W, b) in weights.items():
            of_kind = [row for row in rows if self.graph.readers[row].input == kind]
            units = [self._unit(row, W) for row in of_kind]
            these = streams[first : first + len(units)]
            first += len(units)
            values = read_normed(norm, these, _at(W, units))
            if b is not None:
                values = values + _at(b, units)[:, None, None]
            read.append(self.prompted(values))
        q = _at(attn.place_queries(read[0], self.around.rotary), of[0], 2)
        k = _at(attn.place_keys(read[1], self.around.rotary), of[1], 2)
        z = _mixed(q, k, _at(read[2], of[2], 2), self.around.mask(layer), attn.scale)
        z = rearrange(
            z,
            "(circuit batch) pos head d_head -> head circuit (batch pos) d_head",
            circuit=streams.shape[1],
        )
        heads = [self.graph.writers[column].index or 0 for column in columns]
        written = torch.bmm(self.placed(z).flatten(1, 2), _at(attn.W_O, heads))
        return written.unflatten(1, streams.shape[1:3])

    def _unit(self, row: int, W: Tensor) -> int:
        """Which of a layer's weights a reader reads through: private copies through those of their group."""
        component = self.graph.readers[row].component
        index = component.index or 0
        copies = component.kind == "head" and len(W) == self.model.config.n_kv_heads
        return index // self.model.config.group if copies else index


class _Together:
    """Some circuits, one pass through the layers."""

    def __init__(
        self, prompts: _Prompts, masks: Sequence[Bool[np.ndarray, "reader writer place"]]
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
        return self.prompts.attended(layer, columns, self._streams(rows, base, self.moved))

    def _nodes(self, columns: list[int], base: Tensor, moved: Tensor | None) -> Values:
        rows = [int(np.flatnonzero(self.graph.feeds[:, column])[0]) for column in columns]
        streams, model = self._streams(rows, base, moved), self.prompts.model
        nodes = [self.graph.writers[column] for column in columns]
        pairs = zip(nodes, streams, strict=True)
        written = [writes(model, node, stream) for node, stream in pairs]
        return torch.stack(written) if len(written) > 1 else written[0][None]

    def _write(self, values: Values, columns: list[int]) -> None:
        n = self.writings.n
        self.writings.add(values, _at(self.prompts.ablated, columns)[:, None])
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


def _at(values: Tensor, numbers: Sequence[int], axis: int = 0) -> Tensor:
    """These of an axis; a view where they follow each other."""
    first, size = numbers[0], len(numbers)
    if [*numbers] == [*range(first, first + size)]:
        return values.narrow(axis, first, size)
    return values.index_select(axis, torch.tensor(numbers, device=values.device))


def read_normed(
    norm: LayerNorm, streams: Streams, W: Float[Tensor, "reader d_model d_head"]
) -> Float[Tensor, "reader circuit _ d_head"]:
    """`norm(streams) @ W`, where the streams are overwritten: weights are normed in place of them, and what
    is read is divided by its scale, so that they are gone through less often."""
    shape = streams.shape[1:3]
    if norm.kind == "none" or streams.dtype.itemsize < 4:
        return torch.bmm(norm(streams).flatten(1, 2), W).unflatten(1, shape)
    if norm.kind == "layernorm":
        streams -= streams.mean(-1, keepdim=True)
    square = torch.linalg.vector_norm(streams, dim=-1, keepdim=True).square_()
    scale = (square / streams.shape[-1] + norm.eps).sqrt()
    read = torch.bmm(streams.flatten(1, 2), W * norm.w[:, None]).unflatten(1, shape) / scale
    return read + (norm.b @ W)[:, None, None] if norm.kind == "layernorm" else read


def _mixed(
    q: Float[Tensor, "batch query head d_head"],
    k: Float[Tensor, "batch key head d_head"],
    v: Float[Tensor, "batch key head d_head"],
    mask: Bool[Tensor, "#batch 1 query key"],
    scale: float,
) -> Float[Tensor, "batch query head d_head"]:
    """z, as `Attention.mix` says, with keys and values of each head."""
    scores = einsum("batch query head d_head, batch key head d_head -> batch head query key", q, k)
    pattern = at_least_float32((scores / scale).masked_fill(~mask, float("-inf"))).softmax(-1)
    return einsum(
        "batch head query key, batch key head d_head -> batch query head d_head", pattern.to(q), v
    )
