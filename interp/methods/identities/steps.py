"""Every step of one run, computed again from the tensors that the step before shows.

Method  Written straight from the equations and apart from the model's own code; what a run kept goes
        in, and the largest ‖difference‖ / ‖value‖ of each kind of step comes out.
"""

import torch
from einops import rearrange, repeat
from fancy_einsum import einsum
from torch import Tensor

from interp import sites
from interp.cache import Cache
from interp.transformer import Run, Transformer
from interp.transformer.mlp import ACTIVATIONS


@torch.no_grad()
def recomputed(model: Transformer, run: Run) -> dict[str, float]:
    """The largest relative error of each kind of step, over layers; the run must have kept "all".

    >>> max(recomputed(model, model.run([[3, 1, 4]], keep="all")).values()) < 1e-4
    True
    """
    worst: dict[str, float] = {}
    for layer in range(model.config.n_layers):
        for name, (again, shown) in _steps(model, run.cache, layer).items():
            worst[name] = max(worst.get(name, 0.0), _error(again, shown))
    end = run.cache[sites.resid_post(model.config.n_layers - 1)]
    normed = _normed(model.ln_final, end)
    spelt, bias = "batch pos d_model, d_model d_vocab -> batch pos d_vocab", model.unembed.bias
    logits = einsum(spelt, normed, model.unembed.matrix)
    logits = logits if bias is None else logits + bias
    return {**worst, "logits = norm(stream) · W_U": _error(logits, run.logits)}


def _steps(model: Transformer, cache: Cache, layer: int) -> dict[str, tuple[Tensor, Tensor]]:
    config, attn = model.config, model.block(layer).attn
    rotary = config.positions == "rotary"
    q = cache[(sites.rot_q if rotary else sites.q)(layer)]
    k = cache[(sites.rot_k if rotary else sites.k)(layer)]
    if config.qk_norm and not rotary:
        q, k = _normed(attn.q_norm, q), _normed(attn.k_norm, k)
    shared, group = "batch key kv_head d_head -> batch key (kv_head group) d_head", config.group
    k, v = (repeat(each, shared, group=group) for each in (k, cache[sites.v(layer)]))
    scores, pattern = cache[sites.scores(layer)], cache[sites.pattern(layer)]
    similarity = einsum(
        "batch query head d_head, batch key head d_head -> batch head query key", q, k
    )
    seen = scores.isfinite()
    z, attn_out = cache[sites.z(layer)], cache[sites.attn_out(layer)]
    mixed = einsum(
        "batch head query key, batch key head d_head -> batch query head d_head", pattern, v
    )
    stacked = rearrange(attn.W_O, "head d_head d_model -> (head d_head) d_model")
    written = rearrange(z, "batch pos head d_head -> batch pos (head d_head)") @ stacked
    stream = cache[sites.resid_pre(layer)] + attn_out
    steps = {
        "scores = q·k / scale": ((similarity / attn.scale)[seen], scores[seen]),
        "pattern = softmax(scores)": (scores.softmax(-1), pattern),
        "z = pattern · v": (mixed, z),
        "attn_out = z · W_O": (written if attn.b_O is None else written + attn.b_O, attn_out),
    }
    if config.d_mlp:
        mlp, mlp_out = model.block(layer).mlp, cache[sites.mlp_out(layer)]
        post = ACTIVATIONS[config.activation](cache[sites.mlp_pre(layer)])
        if config.gated:
            post = post * cache[sites.mlp_pre_linear(layer)]
        steps["mlp_post = act(mlp_pre)"] = (post, cache[sites.mlp_post(layer)])
        out = cache[sites.mlp_post(layer)] @ mlp.W_out
        out = out if mlp.b_out is None else out + mlp.b_out
        steps["mlp_out = mlp_post · W_out"] = (out, mlp_out)
        stream = stream + mlp_out
    steps["stream = stream + attn_out + mlp_out"] = (stream, cache[sites.resid_post(layer)])
    return steps


def _normed(norm: torch.nn.Module, x: Tensor) -> Tensor:
    """x through LayerNorm, RMSNorm or nothing, by PyTorch's own functions."""
    size = x.shape[-1:]
    if norm.kind == "layernorm":
        return torch.nn.functional.layer_norm(x, size, norm.w, norm.b, norm.eps)  # type: ignore[arg-type]
    if norm.kind == "rmsnorm":
        return torch.nn.functional.rms_norm(x, size, norm.w, norm.eps)  # type: ignore[arg-type]
    return x


def _error(again: Tensor, shown: Tensor) -> float:
    return float((again - shown).norm() / shown.norm())
