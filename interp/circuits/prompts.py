"""What all circuits on some prompts have in common: where tokens lie, the residual stream that ablation
leaves, and how heads read and write.

Method  Tokens of all prompts lie in one row, in the order of their places. Norms are taken at each reader:
        weights take the norm's own weight, and what is read is divided by its scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.circuits.graph import Graph
from interp.circuits.live import Layer
from interp.circuits.nodes import writes
from interp.circuits.writings import Streams, Values
from interp.circuits.written import Written, bias
from interp.transformer import Transformer
from interp.transformer.contract import einsum
from interp.transformer.norm import LayerNorm, at_least_float32


class Prompts:
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

    def placed(self, values: Float[Tensor, ...]) -> Tensor:
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
            found = self.write_heads(layer, new_heads, heads.repeat(len(rows), 1, 1, 1))
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

    def write_heads(self, layer: int, columns: Sequence[int], streams: Streams) -> Values:
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
            values = read_normed(norm, these, at_numbers(W, units))
            if b is not None:
                values = values + at_numbers(b, units)[:, None, None]
            read.append(self.prompted(values))
        q = at_numbers(attn.place_queries(read[0], self.around.rotary), of[0], 2)
        k = at_numbers(attn.place_keys(read[1], self.around.rotary), of[1], 2)
        z = _mixed(q, k, at_numbers(read[2], of[2], 2), self.around.mask(layer), attn.scale)
        z = rearrange(
            z,
            "(circuit batch) pos head d_head -> head circuit (batch pos) d_head",
            circuit=streams.shape[1],
        )
        heads = [self.graph.writers[column].index or 0 for column in columns]
        written = torch.bmm(self.placed(z).flatten(1, 2), at_numbers(attn.W_O, heads))
        return written.unflatten(1, streams.shape[1:3])

    def _unit(self, row: int, W: Tensor) -> int:
        """Which of a layer's weights a reader reads through: private copies through those of their group."""
        component = self.graph.readers[row].component
        index = component.index or 0
        copies = component.kind == "head" and len(W) == self.model.config.n_kv_heads
        return index // self.model.config.group if copies else index


def at_numbers(values: Tensor, numbers: Sequence[int], axis: int = 0) -> Tensor:
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
