"""One matrix for embedding and unembedding: a parameter under the one, in the state dict of both."""

from typing import Any

import torch
from torch import nn


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
