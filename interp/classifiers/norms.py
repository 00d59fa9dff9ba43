"""A norm of someone else's model at the scale that it had: an affine map of the stream."""

from itertools import product
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp.classifiers.places import Place
from interp.errors import NotApplicable


class FrozenNorm:
    """A norm with the scale of one vector: that of LayerNorm or RMSNorm, whose gain is its weight, or
    one more (Gemma, Nemotron), or 1 where it has none (OLMo).

    Raises  NotApplicable if none of these makes of that vector what the module made of it.
    """

    def __init__(
        self, place: Place, given: Float[Tensor, " d_model"], result: Float[Tensor, " d_model"]
    ) -> None:
        module: Any = place.module
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        plain = torch.ones_like(given) if weight is None else weight.detach()
        self.bias = torch.zeros_like(plain) if bias is None else bias.detach()
        named = (getattr(module, name, None) for name in ("eps", "variance_epsilon"))
        eps = next((each for each in named if each is not None), 0.0)
        centres = "RMS" not in type(module).__name__
        kinds = list(product((centres, not centres), (plain, 1 + plain)))
        errors = []
        for self._centres, self._gain in kinds:
            self._scale = (self._centred(given).square().mean() + eps).sqrt()
            made = self.scaled(given) + self.bias
            errors.append(float((made - result).abs().max() / result.abs().max()))
        least = min(errors)
        if not least < 1e-3 * 10 ** (result.element_size() < 4):
            raise NotApplicable(
                f"{place.name} is a {type(module).__name__}, which is neither LayerNorm nor RMSNorm "
                f"(relative difference {least:.1e})"
            )
        # A vector without a mean cannot tell the two apart: then the name does.
        alike = max(4 * least, 8 * torch.finfo(result.dtype).eps)
        self._centres, self._gain = next(
            kind for kind, error in zip(kinds, errors, strict=True) if error <= alike
        )
        self._scale = (self._centred(given).square().mean() + eps).sqrt()

    def scaled(self, stream: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The stream normed at this scale, without the bias."""
        return self._centred(stream) / self._scale * self._gain

    def _centred(self, stream: Tensor) -> Tensor:
        return stream - stream.mean(-1, keepdim=True) if self._centres else stream
