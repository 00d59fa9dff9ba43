"""How weights lie in memory, so that the flat view that their product needs is no copy."""

from typing import Any

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


class Tied(nn.Module):
    """A part whose W_U is W_E of another transposed, where there is another.

    Its own state dict has W_U; to load that alone changes W_E. With a whole model's, W_E decides, and
    PyTorch's RuntimeError says so where W_U is another.
    """

    def __init__(self, to: nn.Module | None) -> None:
        super().__init__()
        # In a tuple so that W_E is registered once.
        self._tied_to: tuple[Any, ...] = () if to is None else (to,)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for to in self._tied_to:
            W_E = to.W_E if keep_vars else to.W_E.detach()
            destination[f"{prefix}W_U"] = W_E.T

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, strict: bool, *found: list[str]
    ) -> None:
        name, errors = f"{prefix}W_U", found[-1]
        rest = {key: it for key, it in state_dict.items() if key != name or not self._tied_to}
        super()._load_from_state_dict(rest, prefix, metadata, strict, *found)
        if len(rest) == len(state_dict):
            return
        W_E, given = self._tied_to[0].W_E.data, state_dict[name].T
        if given.shape != W_E.shape:
            errors.append(f"{name} must have shape {[*W_E.T.shape]}, got {[*given.T.shape]}")
        elif not prefix:
            W_E.copy_(given)
        elif not torch.equal(given.to(W_E), W_E):
            errors.append(f"{name} must be the tied embedding's W_E transposed, and is not")
