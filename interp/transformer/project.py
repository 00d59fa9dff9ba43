"""The products with weights, where nine tenths of a run's time goes.

Each function is one einsum, written above it, computed as one plain matrix product on a flat view of
the weight: `torch.einsum` turns these into batched products that take 1.3 to 1.7 times as long, and
on one short prompt einops' bookkeeping for seven views a layer is a twentieth of the run.
The tests hold every function to its einsum.

A weight that `packing.packed` has given a copy in oneDNN's own layout is multiplied by that.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from interp.transformer.contract import einsum
from interp.transformer.layout import flat_reading, flat_writing, packed_copy, times_packed


def read_heads(
    x: Float[Tensor, "batch pos d_model"] | Float[Tensor, "batch pos head d_model"],
    W: Float[Tensor, "head d_model d_head"],
    b: Float[Tensor, "head d_head"] | None,
) -> Float[Tensor, "batch pos head d_head"]:
    """einsum("batch pos d_model, head d_model d_head -> batch pos head d_head") + b; of a stream that is
    each head's own, einsum("batch pos head d_model, head d_model d_head -> batch pos head d_head") + b."""
    if x.ndim == 4:
        own = "batch pos head d_model, head d_model d_head -> batch pos head d_head"
        return einsum(own, x, W) if b is None else einsum(own, x, W) + b
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
