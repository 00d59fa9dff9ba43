"""Round numbers along an axis, and where a value stands on it."""

import math
from dataclasses import dataclass

from interp.report.numbers import MINUS, short

STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Tick:
    """One mark of an axis: its place in percent of the width, and its text."""

    place: str
    text: str


@dataclass(frozen=True)
class Axis:
    """A linear axis over [low, high], which always holds zero."""

    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Axis":
        """The axis that holds all of these values, zero, and a little room at the ends."""
        low, high = min([0.0, *values]), max([0.0, *values])
        room = 0.04 * (high - low or 1.0)
        return cls(low - room if low < 0 else low, high + room)

    def place(self, value: float) -> float:
        """Percent of the width."""
        return 100 * (value - self.low) / (self.high - self.low)

    def css(self, value: float) -> str:
        return f"{self.place(value):.2f}".rstrip("0").rstrip(".")

    @property
    def ticks(self) -> list[Tick]:
        """About five round numbers, the same decimals for all."""
        rough = (self.high - self.low) / 5
        scale = 10.0 ** math.floor(math.log10(rough))
        step = next(each * scale for each in STEPS if each * scale >= rough * 0.999)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9) + (step / scale == 2.5))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [Tick(self.css(i * step), _text(i * step, decimals)) for i in range(first, last + 1)]


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis over [low, high], both above zero."""

    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "LogAxis":
        """The axis that holds all of these values, and a little room at the ends."""
        low, high = min(values), max(values)
        room = (high / low) ** 0.03
        return cls(low / room, high * room)

    def place(self, value: float) -> float:
        """Percent of the width."""
        return 100 * math.log(value / self.low) / math.log(self.high / self.low)

    def css(self, value: float) -> str:
        return f"{self.place(value):.2f}".rstrip("0").rstrip(".")

    @property
    def ticks(self) -> list[Tick]:
        """Powers of ten, with twice and five times these where there are few."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        digits = (1, 2, 5) if last - first <= 3 else (1,)
        step = max(1, (last - first) // 6)
        values = [digit * 10.0**each for each in range(first, last + 1, step) for digit in digits]
        return [
            Tick(self.css(value), short(value))
            for value in values
            if self.low <= value <= self.high
        ]


def _text(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}" if decimals <= 4 else f"{value:.1e}"
    return text.replace("-", MINUS)
