"""The model run as circuits: every reader reads what the writers of its kept edges write, and of the removed
ones what ablation puts in the place of that.

Method  Layer by layer, each reader's input is the sum of all ablated writers before it, and on top of it,
        for every kept edge, what its writer now writes minus its ablated value. Where more edges are kept
        than removed the sum is made the other way round. Norms are computed anew at each reader. Only
        writers that some reader of the layer distinguishes enter the product.
Units   Logits at the positions read, `[circuit batch label d_vocab]`.
Source  Conmy et al. 2023, arXiv:2304.14997; Miller et al. 2024, Transformer Circuit Faithfulness Metrics are
        not Robust, arXiv:2407.08734 (edge ablation over all edges at once).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.circuits.graph import Graph, Mask, readers_of
from interp.circuits.written import Written, bias
from interp.errors import UsageError
from interp.transformer import Transformer
from interp.transformer.contract import einsum
from interp.transformer.norm import at_least_float32

# Bytes of what the writers of circuits that run together write: more fall out of the caches, and what is
# added and normed for every reader takes three times as long.
BLOCK = 16 << 20
Streams = Float[Tensor, "circuit batch reader pos d_model"]


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
) -> Float[Tensor, "circuit batch label d_vocab"]:
    """The logits of each circuit, by default at each prompt's last position. Several run together while
    what their writers write takes no more than `memory` bytes.

    Raises  UsageError for a mask of another graph, or for ablated values of other prompts.
    """
    for mask in kept:
        if mask.shape != graph.allowed.shape or (mask & ~graph.allowed).any():
            raise UsageError(
                f"expected masks {list(graph.allowed.shape)} of edges that the graph has, got "
                f"{list(mask.shape)}"
            )
    expected = (len(graph.writers), *tokens.shape, model.config.d_model)
    if tuple(ablated.shape) != expected:
        raise UsageError(f"expected ablated values {list(expected)}, got {list(ablated.shape)}")
    if at is None:
        at = torch.full_like(tokens[:, :1], tokens.shape[1] - 1)
    each = ablated.numel() * ablated.element_size()
    together = max(1, memory // max(1, each))
    found = [
        _Together(model, graph, tokens, ablated, kept[first : first + together]).logits(at)
        for first in range(0, len(kept), together)
    ]
    return torch.cat(found)


class _Together:
    """Some circuits, one pass through the layers."""

    def __init__(
        self,
        model: Transformer,
        graph: Graph,
        tokens: Int[Tensor, "batch pos"],
        ablated: Written,
        kept: Sequence[Mask],
    ) -> None:
        self.model, self.graph, self.ablated = model, graph, ablated
        self.kept: Bool[Tensor, "circuit reader writer"]
        self.kept = torch.from_numpy(np.stack(kept)).to(ablated.device)
        self.allowed = torch.from_numpy(graph.allowed).to(ablated.device)
        real = torch.ones_like(tokens, dtype=torch.bool)
        embedded = model.embed(tokens)
        self.around = model.surroundings(real, embedded)
        if model.config.positions == "learned":
            embedded = embedded + model.pos_embed(tokens, self.around.positions)
        # What each writer writes now, minus its ablated value.
        self.moved = ablated.new_empty(len(kept), *ablated.shape)
        self.moved[:, 0] = embedded - ablated[0]
        # The sums over the writers so far: of their ablated values, and of what they write in each circuit.
        self.other = ablated[0].clone()
        self.own = embedded.expand(len(kept), *embedded.shape).clone()
        self.n = 1

    def logits(
        self, at: Int[Tensor, "batch label"]
    ) -> Float[Tensor, "circuit batch label d_vocab"]:
        for layer in range(self.model.config.n_layers):
            self._layer(layer)
        stream = self._streams(readers_of(self.graph, None, ["logits"]))[:, :, 0]
        examples = torch.arange(stream.shape[1])[:, None]
        read = self.model.ln_final(stream[:, examples, at])
        logits: Tensor = self.model.unembed(read.flatten(0, 1))
        return logits.unflatten(0, read.shape[:2])

    def _layer(self, layer: int) -> None:
        block, config = self.model.block(layer), self.model.config
        inputs = {kind: readers_of(self.graph, layer, [kind]) for kind in ("q", "k", "v", "mlp")}
        heads = [*inputs["q"], *inputs["k"], *inputs["v"]]
        attention = self._streams(heads)
        parallel = self._streams(inputs["mlp"]) if config.d_mlp and config.parallel else None
        self._attend(layer, attention, [len(inputs[kind]) for kind in ("q", "k", "v")])
        if (b_O := bias(self.model, layer)) is not None:
            self.other, self.own = self.other + b_O, self.own + b_O
        if config.d_mlp:
            stream = self._streams(inputs["mlp"]) if parallel is None else parallel
            read = block.ln2(stream[:, :, 0])
            self._write(block.mlp(read.flatten(0, 1)).view_as(read)[:, None])

    def _attend(self, layer: int, streams: Streams, sizes: list[int]) -> None:
        attn = self.model.block(layer).attn
        normed = self.model.block(layer).ln1(streams)
        flat = rearrange(
            normed, "circuit batch reader pos d_model -> (circuit batch) pos reader d_model"
        )
        q, k, v = flat.split(sizes, dim=2)
        # Private copies of keys and values are read through the weights of their group.
        copies = sizes[1] // attn.W_K.shape[0]
        queries = attn.place_queries(_read(q, attn.W_Q, attn.b_Q, 1), self.around.rotary)
        keys = attn.place_keys(_read(k, attn.W_K, attn.b_K, copies), self.around.rotary)
        values = _read(v, attn.W_V, attn.b_V, copies)
        z = _mixed(queries, keys, values, self.around.mask(layer), attn.scale)
        self._write(
            rearrange(
                einsum(
                    "batch pos head d_head, head d_head d_model -> head batch pos d_model",
                    z,
                    attn.W_O,
                ),
                "head (circuit batch) pos d_model -> circuit head batch pos d_model",
                circuit=len(normed),
            )
        )

    def _write(self, value: Float[Tensor, "circuit writer batch pos d_model"]) -> None:
        """The next writers write this."""
        these = slice(self.n, self.n + value.shape[1])
        self.moved[:, these] = value - self.ablated[these]
        self.other = self.other + self.ablated[these].sum(0)
        self.own = self.own + value.sum(1)
        self.n = these.stop

    def _streams(self, rows: list[int]) -> Streams:
        """What these readers read, each its own sum."""
        kept = self.kept[:, rows, : self.n]
        allowed = self.allowed[rows, : self.n]
        removed = int(kept.sum()) * 2 > int(allowed.sum()) * len(kept)
        signs = (allowed & ~kept) if removed else kept
        columns = signs.any(0).any(0).nonzero()[:, 0]
        chosen = self.moved[:, columns].flatten(2)
        weights = signs[:, :, columns].to(chosen.dtype)
        sums = torch.bmm(weights, chosen).unflatten(2, self.moved.shape[2:])
        streams = self.own[:, None] - sums if removed else self.other + sums
        return rearrange(
            streams, "circuit reader batch pos d_model -> circuit batch reader pos d_model"
        )


def _read(
    streams: Float[Tensor, "batch pos head d_model"],
    W: Float[Tensor, "kv_head d_model d_head"],
    b: Float[Tensor, "kv_head d_head"] | None,
    copies: int,
) -> Float[Tensor, "batch pos head d_head"]:
    """Each head's own stream through its own weights."""
    each = "batch pos head d_model, head d_model d_head -> batch pos head d_head"
    read = einsum(each, streams, W.repeat_interleave(copies, 0))
    return read if b is None else read + b.repeat_interleave(copies, 0)


def _mixed(
    q: Float[Tensor, "batch query head d_head"],
    k: Float[Tensor, "batch key kv_head d_head"],
    v: Float[Tensor, "batch key kv_head d_head"],
    mask: Bool[Tensor, "#batch 1 query key"],
    scale: float,
) -> Float[Tensor, "batch query head d_head"]:
    """z, as `Attention.mix` says, where keys may be private to a head."""
    group = q.shape[2] // k.shape[2]
    k, v = k.repeat_interleave(group, 2), v.repeat_interleave(group, 2)
    scores = einsum("batch query head d_head, batch key head d_head -> batch head query key", q, k)
    pattern = at_least_float32((scores / scale).masked_fill(~mask, float("-inf"))).softmax(-1)
    return einsum(
        "batch head query key, batch key head d_head -> batch query head d_head", pattern.to(q), v
    )
