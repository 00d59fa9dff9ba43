"""The slope of a metric at what every part of the model reads from the residual stream.

Method  One forward and one backward pass give the slopes at queries, keys, values, what enters the MLPs, and
        the last residual stream. Each is taken on through the weights that read it and through the norm
        before them, by the norm's own Jacobian or with its scale as a constant: the slope at a private copy
        of the residual stream for every reader.
Units   The metric's unit for each unit of the residual stream, `[reader batch pos d_model]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp import sites
from interp.edits import Edit
from interp.linear.backward import Linearised
from interp.linear.rules import TRUE, Rules
from interp.metrics import Metric
from interp.sites import Site
from interp.transformer import LayerNorm, Transformer
from interp.transformer.contract import einsum

Input = Literal["q", "k", "v", "mlp", "logits"]
# Slopes at the logits that are a few roundings of 1 are none.
_FLAT = 30
AtReaders = Float[Tensor, "reader batch pos d_model"]


@dataclass(frozen=True)
class Slopes:
    """The metric of every prompt, the logits that it read, what was kept of the run, and the slopes at some
    of it, with which `at_readers` goes on. `flat`: the metric has no slope on any prompt, as a divergence
    from the run itself has none."""

    model: Transformer
    rules: Rules
    metric: Float[Tensor, " batch"]
    logits: Float[Tensor, "batch label d_vocab"]
    flat: bool
    kept: dict[Site, Tensor]
    slope: dict[Site, Tensor]

    def at_readers(self, first: int = 0) -> Iterator[tuple[Input, int | None, AtReaders]]:
        """The slopes at the private residual streams of each kind of reader of each layer, from the last
        to the first that is asked for. Where rules freeze the pattern there are none at queries and keys."""
        config = self.model.config
        last = sites.resid_post(config.n_layers - 1)
        yield "logits", None, self.slope[last][None]
        for layer in reversed(range(first, config.n_layers)):
            if config.d_mlp:
                yield "mlp", layer, self._at_mlp(layer)[None]
            yield "v", layer, self._at_heads(layer, "v")
            if self.rules.scores_queries:
                yield "k", layer, self._at_heads(layer, "k")
                yield "q", layer, self._at_heads(layer, "q")

    def _at_mlp(self, layer: int) -> Float[Tensor, "batch pos d_model"]:
        block, mlp = self.model.block(layer), self.model.block(layer).mlp
        if block.ln2.kind == "none":
            found = self.slope[sites.mlp_pre(layer)]
            if not self.model.config.gated:
                return found @ mlp.W_in.T
            return found @ mlp.W_gate.T + self.slope[sites.mlp_pre_linear(layer)] @ mlp.W_in.T
        normed = self.kept[sites.ln2_normalized(layer)]
        slope = self.slope[sites.ln2_normalized(layer)] / self.kept[sites.ln2_scale(layer)]
        if block.ln2.kind == "layernorm":
            slope = slope - slope.mean(-1, keepdim=True)
        if self.rules.block_norm == "frozen":
            return slope
        return slope - normed * (slope * normed).mean(-1, keepdim=True)

    def _at_heads(self, layer: int, kind: Literal["q", "k", "v"]) -> AtReaders:
        """Before the norm, `normed` by `scale` and centred if it is a LayerNorm, of slopes at the heads."""
        attn, norm = self.model.block(layer).attn, self.model.block(layer).ln1
        W, b = {
            "q": (attn.W_Q, attn.b_Q),
            "k": (attn.W_K, attn.b_K),
            "v": (attn.W_V, attn.b_V),
        }[kind]
        slope, into = self.slope[Site(kind, layer)], "batch pos head d_head, head d_model d_head"
        each = f"{into} -> head batch pos d_model"
        if norm.kind == "none":
            return einsum(each, slope, W)
        slope = slope / self.kept[sites.ln1_scale(layer)][..., None]
        weights = W * norm.w[:, None]
        if norm.kind == "layernorm":
            weights = weights - weights.mean(1, keepdim=True)
        found = einsum(each, slope, weights)
        if self.rules.block_norm == "frozen":
            return found
        # How far the slope points along `normed` is seen at the heads, which read it there.
        read = self.kept[Site(kind, layer)] - _constant(norm, W, b)
        along = (slope * read).sum(-1) / self.model.config.d_model
        normed = self.kept[sites.ln1_normalized(layer)]
        return found.addcmul(
            rearrange(along, "batch pos head -> head batch pos 1"), normed, value=-1
        )


def _constant(
    norm: LayerNorm, W: Float[Tensor, "head d_model d_head"], b: Tensor | None
) -> Float[Tensor, "head d_head"]:
    """What heads read whatever the stream is."""
    found = W.new_zeros(W.shape[0], W.shape[2]) if b is None else b
    if norm.kind != "layernorm":
        return found
    return found + einsum("d_model, head d_model d_head -> head d_head", norm.b, W)


def slopes(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    metric: Metric,
    base_logits: Float[Tensor, "batch label d_vocab"] | None = None,
    edits: Sequence[Edit] = (),
    rules: Rules = TRUE,
    *,
    at: Iterable[Site] | None = None,
    keep: Iterable[Site] = (),
    start: tuple[int, Float[Tensor, "batch pos d_model"]] | None = None,
) -> Slopes:
    """The slopes of the metric, summed over nothing: each prompt's own. They are taken `at` some sites, by
    default at those that `at_readers` needs; others are kept. `base_logits` are those that the metric
    compares with, by default the run's own. With `start` the run begins at a layer, with this stream."""
    real = torch.ones_like(tokens, dtype=torch.bool)
    first = start[0] if start else 0
    if at is None:
        at, keep = _at(model, rules, first), [*keep, *_read(model, first)]
    at = list(at)
    hooks = Linearised(model.config, rules, edits, {*at, *keep})
    with torch.enable_grad():
        wanted = metric.positions(real)
        read = _computed(model, tokens, real, hooks, wanted, start)
        hooks.close()
        bound, logits = metric.bound((read if base_logits is None else base_logits).detach()), read
        if (columns := bound.columns) is not None:
            logits = logits.gather(-1, columns[:, None].expand(-1, logits.shape[1], -1))
        values = bound(logits, torch.arange(len(tokens), device=tokens.device))
        places = [logits, *(hooks.kept[site] for site in at)]
        at_logits, *found = torch.autograd.grad(values.sum(), places, allow_unused=True)
    slope = {
        site: torch.zeros_like(hooks.kept[site]) if each is None else each
        for site, each in zip(at, found, strict=True)
    }
    kept = {site: each.detach() for site, each in hooks.kept.items()}
    flat = float(at_logits.abs().max()) <= _FLAT * torch.finfo(at_logits.dtype).eps
    return Slopes(model, rules, values.detach(), read.detach(), flat, kept, slope)


def _computed(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    real: Bool[Tensor, "batch pos"],
    hooks: Linearised,
    wanted: Int[Tensor, "batch label"],
    start: tuple[int, Float[Tensor, "batch pos d_model"]] | None,
) -> Float[Tensor, "batch label d_vocab"]:
    if start is None:
        return model.compute(tokens, real, hooks, wanted)
    first, resid = start[0], start[1].detach().requires_grad_()
    around = model.surroundings(real, resid)
    for layer in range(first, model.config.n_layers):
        resid = model.block(layer)(resid, around.mask(layer), around.rotary, hooks)
    return model.read_out(resid, hooks, wanted)


def _at(model: Transformer, rules: Rules, first: int) -> list[Site]:
    """The sites at which slopes are taken for readers."""
    config = model.config
    found = [sites.resid_post(config.n_layers - 1)]
    for layer in range(first, config.n_layers):
        found += [sites.q(layer), sites.k(layer)] if rules.scores_queries else []
        found += [sites.v(layer)]
        if config.d_mlp and config.norm != "none":
            found += [sites.ln2_normalized(layer)]
        elif config.d_mlp:
            found += [sites.mlp_pre(layer)]
            found += [sites.mlp_pre_linear(layer)] if config.gated else []
    return found


def _read(model: Transformer, first: int) -> list[Site]:
    """What norms did to the residual streams that readers read."""
    config = model.config
    if config.norm == "none":
        return []
    found = []
    for layer in range(first, config.n_layers):
        found += [sites.ln1_scale(layer), sites.ln1_normalized(layer)]
        found += [sites.ln2_scale(layer)] if config.d_mlp else []
    return found
