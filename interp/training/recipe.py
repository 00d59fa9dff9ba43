"""How a model is trained: every number that decides the result, beside its shape and its data."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from interp.errors import UsageError, brief

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """AdamW with a linear warm-up, then half a cosine down to a tenth of `rate`, and clipping.

    `precision` is that of the matrix products; weights and optimizer stay in float32.

    Raises  UsageError for a number that cannot be meant.
    """

    steps: int = 2000
    batch: int = 8
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.1
    clip: float = 1.0
    seed: int = 0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("warmup", 0), ("seed", 0)):
            number = getattr(self, name)
            most = 2**32 - 1 if name == "seed" else 10**9
            if (
                isinstance(number, bool)
                or not isinstance(number, int)
                or not least <= number <= most
            ):
                raise UsageError(
                    f"{name} must be a whole number from {least} to {most:,}, got {brief(number)}"
                )
        for name in ("rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.decay < 1:
            raise UsageError(f"decay must be in 0…1, got {self.decay}")
        if self.precision not in get_args(Precision):
            raise UsageError(
                f"precision must be {' or '.join(get_args(Precision))}, got {self.precision!r}"
            )

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * (0.1 + 0.9 * (1 + math.cos(math.pi * min(done, 1.0))) / 2)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
