"""Weights in the layout in which a CPU multiplies fastest.

In float32, oneDNN multiplies faster by a weight that lies in its own blocked layout. `packed(model)`
gives every weight such a copy for as long as it is open; it costs the memory of the weights a second
time, and inside `packing_within` none is made that does not fit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from interp.transformer.layout import PACKED, flat_reading, flat_writing

_room: ContextVar[int | None] = ContextVar("interp_room_for_packed_weights", default=None)
Flat = Callable[[Tensor], Tensor]
# The view `[out in]` of each weight that is multiplied by.
_FLAT: dict[str, Flat] = {
    **dict.fromkeys(("W_Q", "W_K", "W_V"), flat_reading),
    "W_O": flat_writing,
    **dict.fromkeys(("W_in", "W_gate", "W_out", "W_U"), lambda W: W.T),
}


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
            if not hasattr(W, PACKED):
                flattened = flat(W.data)
                setattr(W, PACKED, torch.ops.mkldnn._reorder_linear_weight(flattened, None))
                carriers.append(W)
        yield
    finally:
        for W in carriers:
            delattr(W, PACKED)


def packed_weights(model: nn.Module) -> dict[str, int]:
    """The names of the weights that carry a packed copy at present, and its bytes."""
    return {
        name: W.numel() * W.element_size()
        for name, W in model.named_parameters()
        if hasattr(W, PACKED)
    }


def bytes_to_pack(model: nn.Module, unembedding: bool = True) -> int:
    """What `packed` would take here beside the copies that are there already."""
    wanted = [W for W, _ in _to_pack(model, unembedding) if not hasattr(W, PACKED)]
    return sum(W.numel() * W.element_size() for W in wanted)


def _to_pack(model: nn.Module, unembedding: bool) -> list[tuple[nn.Parameter, Flat]]:
    """The weights that carry a copy inside `packed`: those of the layers if there is room for all of
    them, and then the unembedding if there is room for it too."""
    if not torch.backends.mkldnn.is_available():
        return []
    leaves = [
        (name.rpartition(".")[2], W)
        for name, W in model.named_parameters()
        if W.dtype is torch.float32 and W.device.type == "cpu"
    ]
    of_layers = [(W, _FLAT[leaf]) for leaf, W in leaves if leaf in _FLAT and leaf != "W_U"]
    of_unembedding = [(W, _FLAT[leaf]) for leaf, W in leaves if leaf == "W_U"]
    # Only a tied model multiplies by its embedding.
    if not of_unembedding:
        of_unembedding = [(W, lambda W: W) for leaf, W in leaves if leaf == "W_E"]
    room, chosen = _room.get(), []
    for group in (of_layers, of_unembedding if unembedding else []):
        size = sum(W.numel() * W.element_size() for W, _ in group)
        if room is not None:
            if size > room:
                break
            room -= size
        chosen += group
    return chosen
