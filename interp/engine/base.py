"""The run that every intervention starts from, with what they read of it."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp import sites
from interp.metrics import Metric
from interp.sites import Site
from interp.transformer import Transformer
from interp.transformer.hooks import NO_HOOKS, RunHooks
from interp.transformer.surroundings import Surroundings


@dataclass(frozen=True, eq=False)
class Base:
    """One run of the model on `tokens`, layer by layer: the stream before and inside every layer,
    the keys, values and z of its attention, the metric's value for every prompt, and the final
    stream (`end`) at the positions that the metric reads.

    It costs `floats(config)` numbers per token. Everything else that an intervention reads of the
    base run (queries, neurons) is computed again from these, one layer at a time.
    """

    tokens: Int[Tensor, "batch pos"]
    real: Bool[Tensor, "batch pos"]
    resid_pre: list[Float[Tensor, "batch pos d_model"]]
    resid_mid: list[Float[Tensor, "batch pos d_model"]]
    keys: list[Float[Tensor, "batch pos kv_head d_head"]]
    values: list[Float[Tensor, "batch pos kv_head d_head"]]
    z: list[Float[Tensor, "batch pos head d_head"]]
    resid_post: Float[Tensor, "batch pos d_model"]
    around: Surroundings
    read: Int[Tensor, "batch label"]
    metric: Metric
    value: Float[Tensor, " batch"]
    end: Float[Tensor, "batch label d_model"]


def floats(model: Transformer) -> int:
    """Numbers that a base run holds per token."""
    config = model.config
    per_layer = 2 * config.d_model + (2 * config.n_kv_heads + config.n_heads) * config.d_head
    return config.n_layers * per_layer


@torch.no_grad()
def base_run(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    real: Bool[Tensor, "batch pos"],
    metric: Metric,
) -> Base:
    """The base run of a sweep on these tokens."""
    config = model.config
    rotary = config.positions == "rotary"
    layers = range(config.n_layers)
    kinds = [sites.resid_pre, sites.rot_k if rotary else sites.k, sites.v, sites.z, sites.attn_out]
    hooks = RunHooks((), [kind(layer) for kind in kinds for layer in layers] + [_end(model)])
    read = metric.positions(real).to(tokens.device)
    logits = model.compute(tokens, real, hooks, read)
    kept = hooks.kept
    bound = metric.bound(logits)
    examples = torch.arange(len(tokens), device=tokens.device)
    columns = bound.columns
    seen = logits
    if columns is not None:
        index = columns.to(logits.device)[:, None].expand(-1, logits.shape[1], -1)
        seen = logits.gather(-1, index)
    keys = [kept[(sites.rot_k if rotary else sites.k)(layer)] for layer in layers]
    if config.qk_norm and not rotary:
        plain = NO_HOOKS
        keys = [model.block(layer).attn.k_norm(keys[layer], plain) for layer in layers]
    resid_pre = [kept[sites.resid_pre(layer)] for layer in layers]
    return Base(
        tokens=tokens,
        real=real,
        resid_pre=resid_pre,
        # One layer after the other, so that what is added up is dropped at once.
        resid_mid=[resid_pre[layer] + kept.pop(sites.attn_out(layer)) for layer in layers],
        keys=keys,
        values=[kept[sites.v(layer)] for layer in layers],
        z=[kept[sites.z(layer)] for layer in layers],
        resid_post=kept[_end(model)],
        around=model.surroundings(real, resid_pre[0]),
        read=read,
        metric=bound,
        value=bound(seen, examples),
        end=kept[_end(model)][examples[:, None], read],
    )


def _end(model: Transformer) -> Site:
    return sites.resid_post(model.config.n_layers - 1)
