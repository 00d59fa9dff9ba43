"""What a distribution's picture needs: every prompt's dot, out of its neighbours' way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp.report.axis import Axis
from interp.report.diagrams import Distribution
from interp.report.heads import head_name
from interp.report.numbers import exact

# More dots are too many to tell apart: quartiles take their place.
MOST_DOTS = 3_000
MOST_EXAMPLES = 200
# Dots that are closer than this, in percent of the width, are put above each other.
NEAR = 1.1
LANES = (0, 1, -1, 2, -2, 3, -3)


@dataclass(frozen=True)
class Dot:
    """One prompt: which, its place in percent, how many lanes from the middle, its group."""

    example: int
    place: str
    lane: int
    group: int


@dataclass(frozen=True)
class Row:
    """One row: its dots or, where there are too many, the box from first to third quartile."""

    label: str
    head: str
    dots: list[Dot]
    box: tuple[str, str] | None
    mean: str
    interval: tuple[str, str] | None
    texts: tuple[str, str]


@dataclass(frozen=True)
class DistributionView:
    """One distribution, ready for the template."""

    axis: Axis
    rows: list[Row]
    groups: list[str]
    names: list[str]
    table: list[list[str]]
    n: int

    @classmethod
    def of(cls, block: Distribution) -> DistributionView:
        n = block.values.shape[1]
        given = (block.values, block.means, block.low, block.high)
        everything = np.concatenate([np.ravel(each) for each in given if each is not None])
        finite = everything[np.isfinite(everything)].tolist()
        axis = Axis.of(finite)
        names = list(dict.fromkeys(block.groups or [""]))
        group = [names.index(name) for name in block.groups] if block.groups else [0] * n
        many = int(np.isfinite(block.values).sum()) > MOST_DOTS
        rows = [_row(block, i, axis, group, many) for i in range(len(block.rows))]
        examples = list(block.examples or [f"prompt {i + 1}" for i in range(n)])
        shown = n if n <= MOST_EXAMPLES else 0
        table = [
            [examples[i], names[group[i]], *(exact(value) for value in block.values[:, i])]
            for i in range(shown)
        ]
        return cls(axis, rows, [name for name in names if name], examples[:shown], table, n)


def _row(block: Distribution, index: int, axis: Axis, group: list[int], many: bool) -> Row:
    values: NDArray[Any] = block.values[index]
    known = np.flatnonzero(np.isfinite(values))
    mean = float(values[known].mean()) if len(known) else float("nan")
    if block.means is not None:
        mean = float(np.asarray(block.means)[index])
    low = high = float("nan")
    if block.low is not None and block.high is not None:
        low, high = float(np.asarray(block.low)[index]), float(np.asarray(block.high)[index])
    whole = np.isfinite([low, high]).all()
    quartiles = np.quantile(values[known], (0.25, 0.75)) if many and len(known) else None
    return Row(
        label=block.rows[index],
        head=head_name(block.rows[index]),
        dots=[] if many else _dots(values, known, axis, group),
        box=None if quartiles is None else (axis.css(quartiles[0]), axis.css(quartiles[1])),
        mean=axis.css(mean) if np.isfinite(mean) else "",
        interval=(axis.css(low), axis.css(high)) if whole else None,
        texts=(exact(mean), f"{exact(low)} to {exact(high)}" if whole else ""),
    )


def _dots(values: NDArray[Any], known: NDArray[Any], axis: Axis, group: list[int]) -> list[Dot]:
    """Dots from left to right, each in the first lane where the last one is far enough away."""
    ends = [-np.inf] * len(LANES)
    dots = []
    for example in known[np.argsort(values[known], kind="stable")]:
        place = axis.place(float(values[example]))
        free = (i for i, end in enumerate(ends) if place - end >= NEAR)
        lane = next(free, int(np.argmin(ends)))
        ends[lane] = place
        at = axis.css(float(values[example]))
        dots.append(Dot(int(example), at, LANES[lane], group[example]))
    return dots
