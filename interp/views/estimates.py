"""Estimates as a report shows them: headline figures, and the rows of a table."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import pandas as pd

from interp import stats
from interp.report import Headline
from interp.stats import Estimate


def frame(
    estimates: Mapping[Any, Estimate], names: Sequence[str] = (), value: str = "value"
) -> pd.DataFrame:
    """One row an estimate: its key by these names (of several, a tuple), value, ci_low, ci_high and n."""
    rows = [
        [
            *(key if isinstance(key, tuple) else (key,)),
            *(float(end) for end in (each.value, each.low, each.high)),
            each.n,
        ]
        for key, each in estimates.items()
    ]
    return pd.DataFrame(rows, columns=[*names, value, "ci_low", "ci_high", "n"])


def headline(
    label: str,
    estimate: Estimate,
    unit: str = "",
    *,
    at: int | tuple[int, ...] = (),
    note: str = "",
) -> Headline:
    """One value of an estimate, with its interval where it has one, and how many prompts it is from."""
    value, low, high = (float(each[at]) for each in (estimate.value, estimate.low, estimate.high))
    said = [note] if note else []
    if estimate.pooled is not None and f"{float(estimate.pooled[at]):.3g}" != f"{value:.3g}":
        said.append(f"pooled over prompts {float(estimate.pooled[at]):.3g}")
    if isnan(low) or isnan(high):
        return Headline(label, value, unit, n=estimate.n, note="; ".join(said))
    if estimate.skewness is not None and abs(float(estimate.skewness[at])) > stats.SKEWED:
        said.append("skewed over clusters: the interval may be too short")
    return Headline(label, value, unit, low, high, estimate.n, "; ".join(said))
