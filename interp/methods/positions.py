"""A run at some of its positions."""

import torch
from jaxtyping import Int
from torch import Tensor

from interp.cache import Cache
from interp.transformer import Run


def at(run: Run, positions: Int[Tensor, "batch label"]) -> Run:
    """The run as if these had been its only positions. What has no position axis of its own, such as
    a pattern, is left out."""
    examples = torch.arange(len(positions), device=positions.device)[:, None]
    kept = {
        site: run.cache[site][examples, positions] for site in run.cache if site.axes[1] == "pos"
    }
    return Run(
        run.logits, Cache(kept), run.tokens[examples, positions], run.real[examples, positions]
    )
