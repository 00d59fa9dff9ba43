"""How weights lie in memory, so that the flat view that their product needs is no copy."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

# Under this name a weight has a packed copy of itself.
PACKED = "interp_packed"


def flat_reading(W: Float[Tensor, "head d_model d_head"]) -> Tensor:
    """`head d_model d_head -> (head d_head) d_model`."""
    return W.mT.flatten(0, 1)


def flat_writing(W: Float[Tensor, "head d_head d_model"]) -> Tensor:
    """`head d_head d_model -> d_model (head d_head)`."""
    return W.flatten(0, 1).T


def packed_copy(W: Tensor) -> Tensor | None:
    """The weight's packed copy, if it has one and no gradient is asked for."""
    copy = getattr(W, PACKED, None)
    return None if copy is None or torch.is_grad_enabled() else copy


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
