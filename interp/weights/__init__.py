"""Where weights come from: short names, Hugging Face, and checkpoints of old TransformerLens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp import lazy

__all__ = ["Comparison", "check", "load"]

if TYPE_CHECKING:
    from interp.weights.comparison import Comparison, check
    from interp.weights.loading import load

# Imported when first used, so that listing the short names needs no torch.
__getattr__, __dir__ = lazy.names(
    __name__,
    {
        "load": "interp.weights.loading",
        "check": "interp.weights.comparison",
        "Comparison": "interp.weights.comparison",
    },
)
