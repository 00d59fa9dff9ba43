"""The prompts behind the cells of maps: what the panel under them shows for a chosen cell."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp.report.diagrams import Distribution
from interp.report.distribution import DistributionView
from interp.report.heads import spelt
from interp.report.pictures import Heatmap

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
    def of(cls, heatmaps: Sequence[Heatmap], budget: int) -> SamplesView | None:
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
