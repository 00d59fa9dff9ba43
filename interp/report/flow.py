"""What a flow's picture needs: bars from a middle line, and the total after every step."""

from dataclasses import dataclass

import numpy as np

from interp.report.diagrams import Flow
from interp.report.numbers import Scaled
from interp.report.visible import head_name

# Parts named beside a step, and the share of the largest part below which one is not named.
MOST_PARTS = 3
LEAST_SHARE = 0.08


@dataclass(frozen=True)
class Bar:
    """A bar in percent of its cell: where zero is, where it begins, how long it is; its number."""

    kind: str
    zero: str
    left: str
    width: str
    text: str


@dataclass(frozen=True)
class Part:
    """A single part of a step that is large enough to be named."""

    name: str
    head: str
    text: str
    kind: str


@dataclass(frozen=True)
class Step:
    """One row of the picture."""

    label: str
    bars: list[Bar]
    total: Bar
    parts: list[Part]


@dataclass(frozen=True)
class FlowView:
    """One flow, ready for the template."""

    steps: list[Step]
    factor: str

    @classmethod
    def of(cls, block: Flow) -> "FlowView":
        totals = block.values.sum(1).cumsum()
        number = Scaled(float(max(np.abs(block.values).max(), np.abs(totals).max())), signed=True)
        written = (float(block.values.min()), float(block.values.max()))
        summed = (float(totals.min()), float(totals.max()))
        largest = max((abs(value) for _, _, value in block.parts), default=0.0)
        steps = []
        for step, label in enumerate(block.steps):
            parts = sorted(
                (part for part in block.parts if part[0] == step), key=lambda part: -abs(part[2])
            )
            steps.append(
                Step(
                    label,
                    [_bar(float(value), *written, number) for value in block.values[step]],
                    _bar(float(totals[step]), *summed, number),
                    [
                        Part(name, head_name(name), number(value), "n" if value < 0 else "p")
                        for _, name, value in parts[:MOST_PARTS]
                        if abs(value) >= LEAST_SHARE * largest and value
                    ],
                )
            )
        return cls(steps, number.factor)


def _bar(value: float, low: float, high: float, number: Scaled) -> Bar:
    """A bar from zero to `value`, in a cell that holds everything from `low` to `high` and zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    spread = high - low or 1.0
    left, width = (min(value, 0.0) - low) / spread, abs(value) / spread
    # A column of noughts is read as one grey line, a column of 0.00 as numbers.
    text = number(value)
    text = text if text.strip("0.") else "0"
    zero, start, length = (f"{100 * share:.2f}" for share in (-low / spread, left, width))
    return Bar("n" if value < 0 else "p", zero, start, length, text)
