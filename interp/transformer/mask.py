"""Where queries may attend, and all else that attention knows of a batch beside its activations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Int
from torch import Tensor

from interp.transformer.config import Config
from interp.transformer.rotary import Angles, angles


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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The number of every token in its prompt, the angles of rotary positions, and for each layer
    where its queries may attend."""

    positions: Int[Tensor, "batch pos"]
    rotary: Angles | None
    masks: tuple[Bool[Tensor, "#batch 1 query key"], ...]

    def mask(self, layer: int) -> Bool[Tensor, "#batch 1 query key"]:
        """True where this layer's queries may attend."""
        return self.masks[layer]


def surroundings(config: Config, real: Bool[Tensor, "batch pos"], like: Tensor) -> Surroundings:
    """Positions, angles and masks of a batch. Without padding every example has the same angles and
    masks, and one row serves them all."""
    positions = (real.cumsum(-1) - 1).clamp(min=0)
    rows = slice(None) if not bool(real.all()) else slice(0, 1)
    rotary = angles(config, positions[rows], like) if config.positions == "rotary" else None
    windows = [config.window(layer) for layer in range(config.n_layers)]
    masks = {window: attention_mask(real[rows], config.causal, window) for window in {*windows}}
    return Surroundings(positions, rotary, tuple(masks[window] for window in windows))
