"""The slope of a metric at what every part of the model reads from the residual stream.

Method  One forward and one backward pass give the slopes at queries, keys, values, what enters the MLPs, and
        the last residual stream. Each is taken on through the weights that read it and through the norm
        before them, by the norm's own Jacobian or with its scale as a constant: the slope at a private copy
        of the residual stream for every reader.
Units   The metric's unit for each unit of the residual stream, `[batch pos head d_model]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.edits import Edit
from interp.errors import UsageError
from interp.linear.rules import TRUE, Linearised, Rules
from interp.metrics import Metric
from interp.sites import Site
from interp.transformer import LayerNorm, Transformer
from interp.transformer.contract import einsum

Input = Literal["q", "k", "v", "mlp", "logits"]
# Slopes at the logits that are a few roundings of 1 are none.
_FLAT = 30
AtReaders = Float[Tensor, "batch pos head d_model"]


@dataclass(frozen=True)
class Slopes:
    """The metric of every prompt, and its slopes at what was kept, with which `at_readers` goes on."""

    model: Transformer
    rules: Rules
    metric: Float[Tensor, " batch"]
    kept: dict[Site, Tensor]
    slope: dict[Site, Tensor]

    def at_readers(self) -> Iterator[tuple[Input, int | None, AtReaders]]:
        """The slopes at the private residual streams of each kind of reader of each layer, from the last
        to the first. Where rules freeze the pattern there are none at queries and keys."""
        config = self.model.config
        last = sites.resid_post(config.n_layers - 1)
        yield "logits", None, self.slope[last][:, :, None]
        for layer in reversed(range(config.n_layers)):
            block = self.model.block(layer)
            before = self.kept[sites.resid_pre(layer)]
            if config.d_mlp:
                reads = before if config.parallel else self.kept[sites.resid_mid(layer)]
                through = self._into_mlp(layer)[:, :, None]
                yield "mlp", layer, _through_norm(block.ln2, reads, through, self.rules)
            weights: dict[Input, Tensor] = {
                "v": block.attn.W_V,
                "k": block.attn.W_K,
                "q": block.attn.W_Q,
            }
            for kind, W in weights.items():
                if kind != "v" and not self.rules.scores_queries:
                    continue
                slope = self.slope[Site(kind, layer)]
                each = "batch pos head d_head, head d_model d_head -> batch pos head d_model"
                yield (
                    kind,
                    layer,
                    _through_norm(block.ln1, before, einsum(each, slope, W), self.rules),
                )

    def _into_mlp(self, layer: int) -> Float[Tensor, "batch pos d_model"]:
        mlp = self.model.block(layer).mlp
        first = self.slope[sites.mlp_pre(layer)]
        if not self.model.config.gated:
            return first @ mlp.W_in.T
        return first @ mlp.W_gate.T + self.slope[sites.mlp_pre_linear(layer)] @ mlp.W_in.T


def slopes(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    metric: Metric,
    base_logits: Float[Tensor, "batch label d_vocab"] | None = None,
    edits: Sequence[Edit] = (),
    rules: Rules = TRUE,
) -> Slopes:
    """The slopes of the metric, summed over nothing: each prompt's own. `base_logits` are those that the
    metric compares with, by default the run's own.

    Raises  UsageError for a metric that is flat at this run on every prompt, as a divergence from the run
            itself is: no first-order score can be made from it.
    """
    real = torch.ones_like(tokens, dtype=torch.bool)
    at, wanted = _at(model, rules), metric.positions(real)
    hooks = Linearised(rules, edits, {*at, *_read(model)})
    with torch.enable_grad():
        logits = model.compute(tokens, real, hooks, wanted)
        hooks.close()
        bound = metric.bound((logits if base_logits is None else base_logits).detach())
        if (columns := bound.columns) is not None:
            logits = logits.gather(-1, columns[:, None].expand(-1, logits.shape[1], -1))
        values = bound(logits, torch.arange(len(tokens), device=tokens.device))
        places = [logits, *(hooks.kept[site] for site in at)]
        at_logits, *found = torch.autograd.grad(values.sum(), places, allow_unused=True)
    if float(at_logits.abs().max()) <= _FLAT * torch.finfo(at_logits.dtype).eps:
        raise UsageError(
            f"the {metric.name} has no slope at this run, so that every first-order score is zero; use the "
            "logit difference or the log-probability of the answer, or exact effects"
        )
    slope = {
        site: torch.zeros_like(hooks.kept[site]) if each is None else each
        for site, each in zip(at, found, strict=True)
    }
    kept = {site: each.detach() for site, each in hooks.kept.items()}
    return Slopes(model, rules, values.detach(), kept, slope)


def _at(model: Transformer, rules: Rules) -> list[Site]:
    """The sites at which slopes are taken."""
    config = model.config
    found = [sites.resid_post(config.n_layers - 1)]
    for layer in range(config.n_layers):
        found += [sites.q(layer), sites.k(layer)] if rules.scores_queries else []
        found += [sites.v(layer)]
        if config.d_mlp:
            found += [sites.mlp_pre(layer)]
            found += [sites.mlp_pre_linear(layer)] if config.gated else []
    return found


def _read(model: Transformer) -> list[Site]:
    """The residual streams that readers read."""
    config = model.config
    found = [sites.resid_pre(layer) for layer in range(config.n_layers)]
    if config.d_mlp and not config.parallel:
        found += [sites.resid_mid(layer) for layer in range(config.n_layers)]
    return found


def _through_norm(
    norm: LayerNorm, stream: Float[Tensor, "batch pos d_model"], slope: AtReaders, rules: Rules
) -> AtReaders:
    """The slope before the norm of what has this slope after it."""
    if norm.kind == "none":
        return slope
    slope, x = slope * norm.w, stream[:, :, None]
    if norm.kind == "layernorm":
        x = x - x.mean(-1, keepdim=True)
    scale = (x.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt()
    if "norm" not in rules.frozen:
        normed = x / scale
        slope = slope - normed * (slope * normed).mean(-1, keepdim=True)
    slope = slope / scale
    if norm.kind == "layernorm":
        slope = slope - slope.mean(-1, keepdim=True)
    return slope
