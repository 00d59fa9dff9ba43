"""Weights that stay as they are while the others are trained."""

from collections.abc import Sequence

from interp.errors import UsageError, nearest
from interp.transformer import Transformer


def freeze(model: Transformer, names: Sequence[str]) -> int:
    """Keeps the parameters that are called so, or that lie below, from being trained; returns how
    many numbers are still trained.

    Raises  UsageError for a name that no parameter has, and where nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    for name in names:
        found = [it for it in parameters if it == name or it.startswith(f"{name}.")]
        if not found:
            raise UsageError(f"no weights are called {name!r}; {nearest(name, parameters)}")
        for each in found:
            parameters[each].requires_grad_(False)
    left = sum(it.numel() for it in parameters.values() if it.requires_grad)
    if not left:
        raise UsageError(f"nothing is left to train when {', '.join(names)} stay as they are")
    return left
