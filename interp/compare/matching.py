"""What two runs of one experiment both have: maps, headline figures and charts that mean the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from interp import stats
from interp.compare.pairing import Pairing, between, differences
from interp.report import Chart, Curve, Heatmap, Maps, Series
from interp.report.blocks import Block
from interp.report.result import Result

# More lines than these, twice, cannot be told apart.
MOST_SERIES = 4


@dataclass(frozen=True)
class Matched:
    """One map that both runs have: its values in either, and their difference with its table."""

    title: str
    first: Heatmap
    second: Heatmap
    difference: Heatmap
    cells: pd.DataFrame
    rank: stats.Estimate
    paired: bool

    @property
    def largest(self) -> pd.Series[Any]:
        return self.cells.iloc[0]


@dataclass
class Left:
    """What could not be compared, each with the reason."""

    reasons: list[str] = field(default_factory=list)

    def add(self, what: str, why: str) -> None:
        self.reasons.append(f"{what}: {why}")


def _all_maps(result: Result) -> dict[str, Heatmap]:
    found: dict[str, Heatmap] = {}
    for block in _each(result):
        group = block.heatmaps if isinstance(block, Maps) else [block]
        for heatmap in group:
            if isinstance(heatmap, Heatmap):
                found.setdefault(heatmap.title, heatmap)
    return found


def _each(result: Result) -> Iterator[Block]:
    report = result.report
    assert report is not None
    if report.figure is not None:
        yield report.figure
    yield from report.inputs
    for section in report.sections:
        yield from section.blocks
    yield from report.controls


def _unlike(first: Heatmap, second: Heatmap) -> str:
    """Why two maps of one title cannot be subtracted; empty if they can."""
    if first.unit != second.unit:
        return f"the units differ, {first.unit or 'none'} and {second.unit or 'none'}"
    if (first.row_axis, first.column_axis) != (second.row_axis, second.column_axis):
        return "the axes differ"
    if first.values.shape != second.values.shape:
        sizes = (" × ".join(map(str, each.values.shape)) for each in (first, second))
        return f"the sizes differ, {' and '.join(sizes)}, so that no cell has a partner"
    if (first.rows, first.columns) != (second.rows, second.columns):
        return "the rows or columns are named differently"
    return ""


def matched_maps(
    one: Result, other: Result, names: tuple[str, str], prompts: Pairing, left: Left
) -> list[Matched]:
    ours, theirs = _all_maps(one), _all_maps(other)
    for title in [*ours, *theirs]:
        if (title in ours) != (title in theirs):
            left.add(f"map {title!r}", f"only {'A' if title in ours else 'B'} has it")
    found = []
    for title in [title for title in ours if title in theirs]:
        first, second = ours[title], theirs[title]
        if why := _unlike(first, second):
            left.add(f"map {title!r}", why)
        else:
            found.append(_match(title, first, second, names, prompts))
    return found


def _match(
    title: str, first: Heatmap, second: Heatmap, names: tuple[str, str], prompts: Pairing
) -> Matched:
    samples, table = None, None
    if prompts.n and first.samples is not None and second.samples is not None:
        samples, table = differences(first.samples, second.samples, prompts)
        # Prompts that only one run has would change the means and not the difference.
        first, second = (
            replace(each, values=each.samples[..., chosen].mean(-1), samples=None)
            for each, chosen in ((first, prompts.first), (second, prompts.second))
        )
    difference = second.values - first.values if samples is None else samples.mean(-1)
    cells = _cell_names(first)
    cells["A"], cells["B"], cells["difference"] = (
        each.ravel() for each in (first.values, second.values, difference)
    )
    if table is not None:
        cells[["ci_low", "ci_high", "p_corrected"]] = table[["ci_low", "ci_high", "p_corrected"]]
    known = np.isfinite(first.values) & np.isfinite(second.values)
    low, high = _ends(first, second)
    sides = [
        replace(each, title=f"{letter}: {name}", low=low, high=high, note="", samples=None)
        for letter, name, each in zip("AB", names, (first, second), strict=True)
    ]
    return Matched(
        title=title,
        first=sides[0],
        second=sides[1],
        difference=replace(
            first,
            title="B − A",
            values=difference,
            scale="diverging",
            low=None,
            high=None,
            note="",
            samples=samples,
        ),
        cells=cells.dropna(subset=["difference"]).sort_values(
            "difference", key=abs, ascending=False, kind="stable"
        ),
        rank=stats.rank_correlation(first.values[known], second.values[known]),
        paired=samples is not None,
    )


def _ends(first: Heatmap, second: Heatmap) -> tuple[float, float]:
    """One colour scale for both sides."""
    both = np.concatenate([first.values.ravel(), second.values.ravel()])
    known = both[np.isfinite(both)]
    given = [each for heatmap in (first, second) for each in (heatmap.low, heatmap.high)]
    known = np.concatenate([known, [float(x) for x in given if x is not None]])
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)


def _cell_names(heatmap: Heatmap) -> pd.DataFrame:
    n_rows, n_columns = heatmap.values.shape
    rows = np.array(heatmap.rows or range(n_rows), dtype=object)
    columns = np.array(heatmap.columns or range(n_columns), dtype=object)
    if heatmap.by_head:
        rows, columns = rows.astype(int), columns.astype(int)
    names = (heatmap.row_axis or "row", heatmap.column_axis or "column")
    if names[0] == names[1]:
        names = (f"{names[0]} (row)", f"{names[1]} (column)")
    return pd.DataFrame({names[0]: np.repeat(rows, n_columns), names[1]: np.tile(columns, n_rows)})


def matched_figures(one: Result, other: Result, left: Left) -> pd.DataFrame:
    """The headline figures that both runs have: value and interval of either, and B − A. The difference has
    an interval where the runs are independent, with different tasks; prompts of one task share sentences,
    and then the two intervals say nothing about the difference."""
    ours, theirs = ({h.label: h for h in run.report.headlines} for run in (one, other))  # type: ignore[union-attr]
    rows = []
    for label in dict.fromkeys([*ours, *theirs]):
        what = f"figure {label!r}"
        if (label in ours) != (label in theirs):
            left.add(what, f"only {'A' if label in ours else 'B'} has it")
            continue
        first, second = ours[label], theirs[label]
        if first.unit != second.unit:
            left.add(what, f"the units differ, {first.unit or 'none'} and {second.unit or 'none'}")
        elif isinstance(first.value, str) or isinstance(second.value, str):
            if first.value != second.value:
                left.add(what, f"{first.value} and {second.value} are words")
        else:
            sides = [
                tuple(float("nan" if each is None else each) for each in (h.value, h.low, h.high))
                for h in (first, second)
            ]
            independent = one.task_name != other.task_name
            apart = between(*sides) if independent else (float("nan"), float("nan"))
            change = sides[1][0] - sides[0][0]
            rows.append([label, first.unit, *sides[0], *sides[1], change, *apart])
    columns = [
        *("figure", "unit", "A", "A_low", "A_high", "B", "B_low", "B_high"),
        *("difference", "ci_low", "ci_high"),
    ]
    return pd.DataFrame(rows, columns=columns)


def matched_charts(
    one: Result, other: Result, names: tuple[str, str], left: Left
) -> list[Chart | Curve]:
    """Line charts and curves of one title and axes, the runs' series in pairs."""
    charts = [
        {block.title: block for block in _each(run) if _is_line(block)} for run in (one, other)
    ]
    found: list[Chart | Curve] = []
    for title, first in charts[0].items():
        second = charts[1].get(title)
        if second is None or type(first) is not type(second):
            continue
        if (first.x_label, first.y_label) != (second.x_label, second.y_label):
            left.add(f"chart {title!r}", "the axes differ")
            continue
        theirs = {series.name: series for series in second.series}
        shared = [series for series in first.series if series.name in theirs][:MOST_SERIES]
        pairs = [
            Series(f"{series.name}, {letter}: {name}", series.x, series.y, series.low, series.high)
            for mine in shared
            for letter, name, series in zip("AB", names, (mine, theirs[mine.name]), strict=True)
        ]
        if pairs and isinstance(first, Curve):
            found.append(Curve(title, pairs, first.x_label, first.y_label, first.levels))
        elif pairs:
            found.append(Chart(title, "line", pairs, first.x_label, first.y_label))
    return found


def _is_line(block: Block) -> TypeGuard[Chart | Curve]:
    return isinstance(block, Curve) or (isinstance(block, Chart) and block.kind == "line")
