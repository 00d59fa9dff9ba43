"""Columns of a table, and effects beside each other, as charts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from interp import stats
from interp.effects import Effects
from interp.report import Chart, Series
from interp.stats import Estimate

_ENDS = ("ci_low", "ci_high")


def lines(
    title: str,
    x: Iterable[Any],
    columns: Mapping[str, Iterable[Any]],
    x_label: str,
    y_label: str,
) -> Chart:
    """One line for each of these columns over the same x."""
    places = list(x)
    series = [Series(name, places, list(y)) for name, y in columns.items()]
    return Chart(title, "line", series, x_label, y_label)


def band(name: str, x: Iterable[Any], estimate: Estimate) -> Series:
    """One line of values with their intervals."""
    return Series(name, list(x), estimate.value, estimate.low, estimate.high)


def grouped(
    title: str,
    frame: pd.DataFrame,
    by: str,
    axes: Sequence[str],
    labels: Sequence[str],
    also: Sequence[Series] = (),
) -> Chart:
    """One line for each value of a column, in the order in which they first come; `axes` are the columns
    of x and y, `labels` what these are called. Intervals are drawn where the frame has ci_low and ci_high."""
    x, y = axes
    series = []
    for name, some in frame.groupby(by, sort=False):
        low, high = (some[each].to_numpy() if each in some else None for each in _ENDS)
        series.append(Series(str(name), some[x].to_numpy(), some[y].to_numpy(), low, high))
    return Chart(title, "line", [*series, *also], *labels)


def scatter(
    title: str,
    one: Effects,
    other: Effects,
    labels: Sequence[str],
    chosen: Sequence[int] | Int[np.ndarray, " label"],
) -> Chart:
    """Mean effects of the same components in two settings, the chosen ones apart from the others."""
    x, y = one.mean(), other.mean()
    rest = np.setdiff1d(np.arange(len(x)), chosen)
    series = [
        Series(name, x[rows], y[rows])
        for name, rows in (("chosen", np.asarray(chosen)), ("others", rest))
        if len(rows)
    ]
    return Chart(title, "scatter", series, *labels)


def first_order(points: Mapping[str, tuple[Effects, Effects]], note: str = "") -> Chart:
    """The first-order estimate of each component beside its measured effect, in groups; how alike they
    rank, and the slope of a line through zero, are of all groups together."""
    means = {name: (one.mean(), other.mean()) for name, (one, other) in points.items()}
    estimated, measured = (np.concatenate(each) for each in zip(*means.values(), strict=True))
    rank = stats.rank_correlation(estimated, measured)
    square = float((estimated**2).sum())
    slope = float((estimated * measured).sum()) / square if square else float("nan")
    return Chart(
        "First-order estimate and measured effect",
        "scatter",
        [Series(name, *each) for name, each in means.items()],
        "first-order estimate, logits",
        "measured effect, logits",
        note=f"{note} Rank correlation {float(rank.value):.2f} [{float(rank.low):.2f}, "
        f"{float(rank.high):.2f}]; measured effect for each unit of the estimate {slope:.2f}.".strip(),
    )
