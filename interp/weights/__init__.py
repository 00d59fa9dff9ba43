"""Where weights come from: short names, Hugging Face, and checkpoints of old TransformerLens."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Comparison", "check", "load"]

if TYPE_CHECKING:
    from interp.weights.comparison import Comparison, check
    from interp.weights.loading import load

# Imported when first used, so that listing the short names needs no torch.
_LAZY = {"load": "loading", "check": "comparison", "Comparison": "comparison"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"interp.weights.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
