"""A norm of someone else's model at the scale that it had: an affine map of the stream."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp.classifiers.places import Place
from interp.errors import NotApplicable


class HeldNorm:
    """LayerNorm or RMSNorm as its name says, with the scale of one vector.

    Raises  NotApplicable if it does not make of that vector what the module made of it.
    """

    def __init__(
        self, place: Place, given: Float[Tensor, " d_model"], result: Float[Tensor, " d_model"]
    ) -> None:
        module: Any = place.module
        self._centres = type(module).__name__.endswith("LayerNorm")
        self._weight: Tensor = module.weight.detach()
        bias = getattr(module, "bias", None)
        self.bias = torch.zeros_like(self._weight) if bias is None else bias.detach()
        named = (getattr(module, name, None) for name in ("eps", "variance_epsilon"))
        eps = next((each for each in named if each is not None), 0.0)
        self._scale = (self._centred(given).square().mean() + eps).sqrt()
        error = (self.scaled(given) + self.bias - result).abs().max() / result.abs().max()
        if not error < 1e-3 * 10 ** (result.element_size() < 4):
            raise NotApplicable(
                f"{place.name} is a {type(module).__name__} that does not compute what its name says "
                f"(relative difference {float(error):.1e})"
            )

    def scaled(self, stream: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The stream normed at this scale, without the bias."""
        return self._centred(stream) / self._scale * self._weight

    def _centred(self, stream: Tensor) -> Tensor:
        return stream - stream.mean(-1, keepdim=True) if self._centres else stream
