"""What normalization does to what is read behind it, and models with their norms' weights folded away.

Method  With its scale frozen at the value that it had, a norm is linear: `⟨norm(x), direction⟩` is
        `⟨x, d⟩ + constant`. A norm's own weight and bias can be moved into the weights that read it,
        exactly. Centring what is written to the stream changes nothing under LayerNorm, which
        subtracts the mean anyway; under RMSNorm it changes the model.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
"""

from dataclasses import replace

import torch
from fancy_einsum import einsum
from jaxtyping import Float
from torch import Tensor

from interp.errors import UsageError
from interp.sites import Site
from interp.transformer import Config, Run, Transformer
from interp.transformer.norm import Norm

_READERS = ("attn.W_Q", "attn.W_K", "attn.W_V"), ("mlp.W_in", "mlp.W_gate")


def through(
    norm: Norm, direction: Float[Tensor, "*batch d_model"], scale: Float[Tensor, "*batch 1"]
) -> tuple[Float[Tensor, "*batch d_model"], Float[Tensor, "*batch"]]:
    """`d` and `constant` with `⟨norm(x), direction⟩ = ⟨x, d⟩ + constant` for the x that has this scale. The
    norm's weight, its bias and LayerNorm's centring are all in it."""
    if norm.kind == "none":
        return direction, torch.zeros_like(direction[..., 0])
    onto = direction * norm.w / scale
    if norm.kind == "rmsnorm":
        return onto, torch.zeros_like(direction[..., 0])
    return onto - onto.mean(-1, keepdim=True), (direction * norm.b).sum(-1)


def mean_share(stream: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos"]:
    """The share of ‖x‖² that lies along the mean: what centring removes or, under RMSNorm, would."""
    return stream.mean(-1).square() / stream.square().mean(-1)


def scales(run: Run, site: Site) -> dict[str, Float[Tensor, " batch"]]:
    """What the norm of this site divided each prompt by: at its first position, at its last token, and on
    average at those between, if every prompt has some."""
    scale, n = run.cache[site][..., 0].double(), run.real.sum(-1)
    rows = torch.arange(len(n), device=n.device)
    found = {"first position": scale[:, 0], "last token": scale[rows, n - 1]}
    if bool((n > 2).all()):
        between = run.real.clone()
        between[:, 0] = between[rows, n - 1] = False
        found["between"] = scale.where(between, 0).sum(-1) / (n - 2)
    return found


@torch.no_grad()
def folded(model: Transformer) -> Transformer:
    """The same function with every norm's weight and bias inside the weights that read it: what is
    left of a norm is centring (LayerNorm) and scale.

    The unembedding then holds the final norm's weight, so a tied one gets a matrix of its own.

    Raises  UsageError for a model without norms.

    >>> other = folded(model)
    >>> bool((other.run("Mary").logits - model.run("Mary").logits).abs().max() < 1e-4)
    True
    """
    config = model.config
    if config.norm == "none":
        raise UsageError(f"{model.name} has no norms, so there is nothing to fold")
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    if config.norm == "layernorm":
        config = replace(config, q_bias=True, kv_bias=True, mlp_bias=True, unembed_bias=True)
    config = replace(config, tied=False)
    weights.setdefault("unembed.W_U", model.unembed.matrix.detach().clone())
    target = _noted(model, config, "every norm's weight folded")
    for name, parameter in target.named_parameters():
        if name not in weights:
            weights[name] = torch.zeros_like(parameter, dtype=model.dtype, device=model.device)
    for layer in range(config.n_layers):
        for norm, readers in zip(("ln1", "ln2"), _READERS, strict=True):
            _fold(weights, f"blocks.{layer}.{norm}", [f"blocks.{layer}.{r}" for r in readers])
    _fold(weights, "ln_final", ["unembed.W_U"])
    target.assign(weights)
    return target


@torch.no_grad()
def centred(model: Transformer) -> Transformer:
    """The same function with the mean taken out of everything that is written to the stream.

    Raises  UsageError unless the model's norms are LayerNorms: nothing else subtracts the mean.
    """
    config = model.config
    if config.norm != "layernorm":
        raise UsageError(
            f"centring what is written to the stream changes {model.name}: only LayerNorm subtracts "
            f"the mean, and its norms are {config.norm!r}"
        )
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    if config.tied:
        weights["unembed.W_U"] = model.unembed.matrix.detach().clone()
    for name, weight in weights.items():
        if name.rpartition(".")[2] in ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out"):
            weight -= weight.mean(-1, keepdim=True)
    target = _noted(model, replace(config, tied=False), "writing weights centred")
    target.assign(weights)
    return target


def _fold(weights: dict[str, Tensor], norm: str, readers: list[str]) -> None:
    """Moves this norm's weight and bias into its readers; none of them is left over."""
    if f"{norm}.w" not in weights:
        return
    w, b = weights[f"{norm}.w"], weights.get(f"{norm}.b")
    for name in readers:
        if name not in weights:
            continue
        W = weights[name]
        if b is not None:
            path, _, leaf = name.rpartition(".")
            bias = weights[f"{path}.b_{leaf.removeprefix('W_')}"]
            bias += einsum("... d_model d_head, d_model -> ... d_head", W, b)
        weights[name] = W * w[:, None]
    weights[f"{norm}.w"] = torch.ones_like(w)
    if b is not None:
        weights[f"{norm}.b"] = torch.zeros_like(b)


def _noted(model: Transformer, config: Config, note: str) -> Transformer:
    """The model of this config, that has still to be given its weights."""
    origin = replace(model.origin, notes=(*model.origin.notes, f"Here with {note}."))
    with torch.device("meta"):
        return Transformer(config, origin, lambda: model.tokenizer, model.bos_choice)
