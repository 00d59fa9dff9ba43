"""The products with weights, where nine tenths of a run's time goes.

Each function is one einsum, written above it, computed as one plain matrix product on a flat view of
the weight: `torch.einsum` turns these into batched products that take 1.3 to 1.7 times as long, and
on one short prompt einops' bookkeeping for seven views a layer is a twentieth of the run.
The tests hold every function to its einsum.

On a CPU in float32, oneDNN multiplies faster by a weight that lies in its own blocked layout.
`packed(model)` gives every weight such a copy for as long as it is open; it costs the memory of the
weights a second time, and inside `packing_within` none is made that does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_PACKED = "interp_packed"
_room: ContextVar[int | None] = ContextVar("interp_room_for_packed_weights", default=None)


def _reads(W: Float[Tensor, "head d_model d_head"]) -> Tensor:
    """`head d_model d_head -> (head d_head) d_model`."""
    return W.mT.flatten(0, 1)


def _writes(W: Float[Tensor, "head d_head d_model"]) -> Tensor:
    """`head d_head d_model -> d_model (head d_head)`."""
    return W.flatten(0, 1).T


def _turned(W: Float[Tensor, "d_model d_mlp"]) -> Tensor:
    """`d_model d_mlp -> d_mlp d_model`."""
    return W.T


def _as_it_is(W: Float[Tensor, "d_vocab d_model"]) -> Tensor:
    return W


Flat = Callable[[Tensor], Tensor]
_FLAT: dict[str, Flat] = {
    "W_Q": _reads,
    "W_K": _reads,
    "W_V": _reads,
    "W_O": _writes,
    "W_in": _turned,
    "W_gate": _turned,
    "W_out": _turned,
    "W_U": _turned,
}


def read_heads(
    x: Float[Tensor, "batch pos d_model"],
    W: Float[Tensor, "head d_model d_head"],
    b: Float[Tensor, "head d_head"] | None,
) -> Float[Tensor, "batch pos head d_head"]:
    """einsum("batch pos d_model, head d_model d_head -> batch pos head d_head") + b."""
    bias = None if b is None else b.flatten()
    return _linear(x, W, _reads, bias).unflatten(-1, (W.shape[0], W.shape[2]))


def write_heads(
    z: Float[Tensor, "batch pos head d_head"],
    W: Float[Tensor, "head d_head d_model"],
    b: Float[Tensor, " d_model"] | None,
) -> Float[Tensor, "batch pos d_model"]:
    """einsum("batch pos head d_head, head d_head d_model -> batch pos d_model") + b."""
    return _linear(z.flatten(-2), W, _writes, b)


def project(
    x: Float[Tensor, "batch pos d_model"],
    W: Float[Tensor, "d_model d_mlp"],
    b: Float[Tensor, " d_mlp"] | None,
) -> Float[Tensor, "batch pos d_mlp"]:
    """einsum("batch pos d_model, d_model d_mlp -> batch pos d_mlp") + b, into the neurons; out of
    them the two sizes change places."""
    return _linear(x, W, _turned, b)


def unembed_tied(
    x: Float[Tensor, "batch pos d_model"],
    W_E: Float[Tensor, "d_vocab d_model"],
    b: Float[Tensor, " d_vocab"] | None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """einsum("batch pos d_model, d_vocab d_model -> batch pos d_vocab") + b."""
    return _linear(x, W_E, _as_it_is, b)


def _linear(x: Tensor, W: Tensor, flat: Flat, b: Tensor | None) -> Tensor:
    """x times the weight, of which `flat` is the view `[out in]`; by its packed copy if it has one."""
    packing = getattr(W, _PACKED, None)
    if packing is None or torch.is_grad_enabled():
        return functional.linear(x, flat(W), b)
    return torch.ops.mkldnn._linear_pointwise(x, packing, b, "none", [], "")


@contextmanager
def packing_within(n_bytes: int | None) -> Iterator[None]:
    """Inside, packed copies of a model's weights take no more than this; None is no bound."""
    token = _room.set(n_bytes)
    try:
        yield
    finally:
        _room.reset(token)


@contextmanager
def packed(model: nn.Module, unembedding: bool = True) -> Iterator[None]:
    """Every weight that is multiplied by carries a packed copy of itself inside this context, where
    that is to be had: float32 on a CPU whose PyTorch has oneDNN, and room for all of them. Gradients
    do not use it. The unembedding is the largest, and may be left out by who reads few logits.

    The products agree with the unpacked ones to rounding, not bit by bit.
    """
    carriers = []
    try:
        for W, flat in _to_pack(model, unembedding):
            if not hasattr(W, _PACKED):
                flattened = flat(W.data)
                setattr(W, _PACKED, torch.ops.mkldnn._reorder_linear_weight(flattened, None))
                carriers.append(W)
        yield
    finally:
        for W in carriers:
            delattr(W, _PACKED)


def packed_weights(model: nn.Module) -> dict[str, int]:
    """The names of the weights that carry a packed copy at present, and its bytes."""
    return {
        name: W.numel() * W.element_size()
        for name, W in model.named_parameters()
        if hasattr(W, _PACKED)
    }


def bytes_to_pack(model: nn.Module, unembedding: bool = True) -> int:
    """What `packed` would take here beside the copies that are there already."""
    wanted = [W for W, _ in _to_pack(model, unembedding) if not hasattr(W, _PACKED)]
    return sum(W.numel() * W.element_size() for W in wanted)


def _to_pack(model: nn.Module, unembedding: bool) -> list[tuple[nn.Parameter, Flat]]:
    """The weights that carry a copy inside `packed`: those of the layers if there is room for all of
    them, and then the unembedding if there is room for it too."""
    leaves = [(name.rpartition(".")[2], W) for name, W in model.named_parameters() if _packable(W)]
    of_layers = [(W, _FLAT[leaf]) for leaf, W in leaves if leaf in _FLAT and leaf != "W_U"]
    of_unembedding = [(W, _FLAT[leaf]) for leaf, W in leaves if leaf == "W_U"]
    # Only a tied model multiplies by its embedding.
    if not of_unembedding:
        of_unembedding = [(W, _as_it_is) for leaf, W in leaves if leaf == "W_E"]
    room, chosen = _room.get(), []
    for group in (of_layers, of_unembedding if unembedding else []):
        size = sum(W.numel() * W.element_size() for W, _ in group)
        if room is not None:
            if size > room:
                break
            room -= size
        chosen += group
    return chosen


def _packable(W: Tensor) -> bool:
    """Whether a packed copy can be had."""
    fitting = W.dtype is torch.float32 and W.device.type == "cpu"
    return fitting and torch.backends.mkldnn.is_available()


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
