"""Estimates as a report shows them: headline figures, and what the p-values of a table are."""

from math import isnan

from interp import stats
from interp.report import Headline
from interp.stats import Estimate


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
