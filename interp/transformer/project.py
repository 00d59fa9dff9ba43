"""The products with weights, where nine tenths of a run's time goes.

Each function is one einsum, written above it, computed as one plain matrix product on a flat view of
the weight: `torch.einsum` turns these into batched products that take 1.3 to 1.7 times as long, and
on one short prompt einops' bookkeeping for seven views a layer is a twentieth of the run.
The tests hold every function to its einsum.

A weight that `packing.packed` has given a copy in oneDNN's own layout is multiplied by that.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

# Under this name a weight has its packed copy.
PACKED = "interp_packed"


def read_heads(
    x: Float[Tensor, "batch pos d_model"],
    W: Float[Tensor, "head d_model d_head"],
    b: Float[Tensor, "head d_head"] | None,
) -> Float[Tensor, "batch pos head d_head"]:
    """einsum("batch pos d_model, head d_model d_head -> batch pos head d_head") + b."""
    bias = None if b is None else b.flatten()
    copy = packed_copy(W)
    read = (
        functional.linear(x, flat_reading(W), bias) if copy is None else times_packed(x, copy, bias)
    )
    return read.unflatten(-1, (W.shape[0], W.shape[2]))


def write_heads(
    z: Float[Tensor, "batch pos head d_head"],
    W: Float[Tensor, "head d_head d_model"],
    b: Float[Tensor, " d_model"] | None,
) -> Float[Tensor, "batch pos d_model"]:
    """einsum("batch pos head d_head, head d_head d_model -> batch pos d_model") + b."""
    copy = packed_copy(W)
    if copy is None:
        return functional.linear(z.flatten(-2), flat_writing(W), b)
    return times_packed(z.flatten(-2), copy, b)


def project(
    x: Float[Tensor, "batch pos d_model"],
    W: Float[Tensor, "d_model d_mlp"],
    b: Float[Tensor, " d_mlp"] | None,
) -> Float[Tensor, "batch pos d_mlp"]:
    """einsum("batch pos d_model, d_model d_mlp -> batch pos d_mlp") + b, into the neurons; out of
    them the two sizes change places."""
    copy = packed_copy(W)
    return functional.linear(x, W.T, b) if copy is None else times_packed(x, copy, b)


def unembed_tied(
    x: Float[Tensor, "batch pos d_model"],
    W_E: Float[Tensor, "d_vocab d_model"],
    b: Float[Tensor, " d_vocab"] | None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """einsum("batch pos d_model, d_vocab d_model -> batch pos d_vocab") + b."""
    copy = packed_copy(W_E)
    return functional.linear(x, W_E, b) if copy is None else times_packed(x, copy, b)


def flat_reading(W: Float[Tensor, "head d_model d_head"]) -> Tensor:
    """`head d_model d_head -> (head d_head) d_model`."""
    return W.mT.flatten(0, 1)


def flat_writing(W: Float[Tensor, "head d_head d_model"]) -> Tensor:
    """`head d_head d_model -> d_model (head d_head)`."""
    return W.flatten(0, 1).T


def packed_copy(W: Tensor) -> Tensor | None:
    """The weight's packed copy, if it has one and no gradient is asked for."""
    return None if torch.is_grad_enabled() else getattr(W, PACKED, None)


def times_packed(x: Tensor, copy: Tensor, b: Tensor | None) -> Tensor:
    """x times a packed copy."""
    return torch.ops.mkldnn._linear_pointwise(x, copy, b, "none", [], "")


def reading_heads(n_heads: int, d_model: int, d_head: int) -> nn.Parameter:
    """A weight `[head d_model d_head]` laid out so that its flat view costs nothing."""
    flat = torch.empty(n_heads * d_head, d_model)
    return nn.Parameter(
        rearrange(flat, "(head d_head) d_model -> head d_model d_head", head=n_heads)
    )


def flat_in_place(name: str, weight: Tensor) -> Tensor:
    """The weight, laid out anew only if the flat view that its product needs would copy it each time."""
    leaf = name.rpartition(".")[2]
    if leaf in ("W_Q", "W_K", "W_V"):
        flat = rearrange(weight, "head d_model d_head -> (head d_head) d_model")
        return rearrange(flat, "(head d_head) d_model -> head d_model d_head", head=weight.shape[0])
    if leaf == "W_O":
        flat = rearrange(weight, "head d_head d_model -> (head d_head) d_model")
        return rearrange(flat, "(head d_head) d_model -> head d_head d_model", head=weight.shape[0])
    return weight
