"""What the pictures of single prompts need: every prompt's dot, out of its neighbours' way."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp.report.axis import Axis
from interp.report.diagrams import Distribution
from interp.report.numbers import exact
from interp.report.pictures import Heatmap
from interp.report.visible import head_name, spelt

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
    def of(cls, block: Distribution) -> "DistributionView":
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


# Bytes of samples a page may hold before base64, over all of its maps.
MOST_BYTES = 90_000
LEVELS = 32_000


@dataclass(frozen=True)
class SamplesView:
    """The panel of one group of maps: first the strongest cell, then whichever is chosen."""

    cell: str
    plot: DistributionView
    island: dict[str, Any]
    unit: str
    n: int

    @classmethod
    def of(cls, heatmaps: Sequence[Heatmap], budget: int) -> "SamplesView | None":
        """The panel, or None where there are no samples or they do not fit `budget` bytes."""
        maps = [heatmap for heatmap in heatmaps if heatmap.samples is not None]
        if not maps or len({(m.values.shape, m.unit) for m in maps}) > 1:
            return None
        if sum(2 * heatmap.samples.size for heatmap in maps) > budget:
            return None
        first = maps[0]
        strength = np.nan_to_num(np.abs(first.values), nan=-1.0)
        row, column = divmod(int(strength.argmax()), strength.shape[1])
        longest = max(heatmap.samples.shape[-1] for heatmap in maps)
        values = np.full((len(maps), longest), np.nan)
        for index, heatmap in enumerate(maps):
            own = heatmap.samples[row, column]
            values[index, : len(own)] = own
        block = Distribution("", [heatmap.title for heatmap in maps], values, first.unit)
        rows = first.rows or [str(i) for i in range(first.values.shape[0])]
        columns = first.columns or [str(i) for i in range(first.values.shape[1])]
        name = (
            spelt(rows[row], columns[column])
            if first.by_head
            else f"{first.row_axis} {rows[row]}, {first.column_axis} {columns[column]}"
        )
        one_n = len({heatmap.samples.shape[-1] for heatmap in maps}) == 1
        return cls(
            cell=name,
            plot=DistributionView.of(block),
            island={"maps": [_packed(heatmap) for heatmap in maps]},
            unit=first.unit,
            n=longest if one_n else 0,
        )

    @property
    def size(self) -> int:
        """Bytes of packed samples, to be taken from the page's budget."""
        return sum(len(each["data"]) * 3 // 4 for each in self.island["maps"])


def _packed(heatmap: Heatmap) -> dict[str, Any]:
    """The samples as 16-bit steps of their largest magnitude; the least number is no value."""
    known = np.nan_to_num(heatmap.samples)
    largest = float(np.abs(known).max()) or 1.0
    steps = np.rint(known / largest * LEVELS).astype("<i2")
    steps[np.isnan(heatmap.samples)] = np.iinfo(np.int16).min
    return {
        "title": heatmap.title,
        "columns": heatmap.values.shape[1],
        "n": heatmap.samples.shape[-1],
        "step": float(f"{largest / LEVELS:.6g}"),
        "data": base64.b64encode(steps.tobytes()).decode(),
    }
