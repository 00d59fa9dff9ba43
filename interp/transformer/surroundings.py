"""What attention knows of a batch beside its activations."""

from dataclasses import dataclass

from jaxtyping import Bool, Int
from torch import Tensor

from interp.transformer.config import Config
from interp.transformer.mask import attention_mask
from interp.transformer.rotary import Angles, angles
from interp.transformer.shapes import Mask


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The number of every token in its prompt, the angles of rotary positions, and for each layer
    where its queries may attend."""

    positions: Int[Tensor, "batch pos"]
    rotary: Angles | None
    masks: tuple[Mask, ...]

    def mask(self, layer: int) -> Mask:
        """True where this layer's queries may attend."""
        return self.masks[layer]


def surroundings(config: Config, real: Bool[Tensor, "batch pos"], like: Tensor) -> Surroundings:
    """Positions, angles and masks of a batch. Without padding every example has the same angles and
    masks, and one row serves them all."""
    positions = (real.cumsum(-1) - 1).clamp(min=0)
    rows = slice(None) if not bool(real.all()) else slice(0, 1)
    rotary = angles(config, positions[rows], like) if config.positions == "rotary" else None
    windows = config.windows or (None,) * config.n_layers
    masks = {window: attention_mask(real[rows], config.causal, window) for window in {*windows}}
    return Surroundings(positions, rotary, tuple(masks[window] for window in windows))
