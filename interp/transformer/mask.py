"""Where queries may attend."""

import torch
from einops import rearrange
from jaxtyping import Bool
from torch import Tensor


def attention_mask(
    real: Bool[Tensor, "batch pos"], causal: bool, window: int | None
) -> Bool[Tensor, "batch 1 query key"]:
    """True where a query may attend to a key: real tokens, not later ones in a causal model, and none
    further back than the window. A padding query attends to itself, so that no row is empty."""
    n_pos = real.shape[1]
    query = torch.arange(n_pos, device=real.device)[:, None]
    key = torch.arange(n_pos, device=real.device)[None, :]
    allowed = torch.ones(n_pos, n_pos, dtype=torch.bool, device=real.device)
    if causal:
        allowed &= key <= query
    if window is not None:
        allowed &= (query - key).abs() < window
    seen = (allowed & real[:, None, :]) | ((query == key) & ~real[:, :, None])
    return rearrange(seen, "batch query key -> batch 1 query key")
