"""Do two rankings agree, do the two halves of the prompts, and do controls fall short?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from interp.errors import UsageError
from interp.stats.effects import Estimate, Half, Screen

# The interval of a rank correlation divides by the number of scores less three.
LEAST_SCORES = 4


def rank_correlation(
    first: Shaped[np.ndarray, " component"], second: Shaped[np.ndarray, " component"]
) -> Estimate:
    """Spearman's correlation between two scores of the same components.

    Source  Bonett & Wright 2000, Psychometrika 65 (the interval).
    """
    from scipy import stats

    if np.shape(first) != np.shape(second):
        raise UsageError(
            f"a rank correlation needs as many scores on either side, got {len(first)} and "
            f"{len(second)}"
        )
    n, nan = len(first), np.array(np.nan)
    if n < LEAST_SCORES or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Estimate(nan, nan, nan, n, n, "no correlation: too few scores, or all the same")
    value = float(stats.spearmanr(first, second).statistic)
    spread = stats.norm.ppf(0.975) * np.sqrt((1 + value**2 / 2) / (n - 3))
    centre = np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))
    low, high = np.tanh(centre - spread), np.tanh(centre + spread)
    return Estimate(np.array(value), np.array(low), np.array(high), n, n, "Bonett–Wright")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far what was found on one half of the prompts holds on the other. `top` components were chosen by
    magnitude on the discovery half: `overlap` is the share of them that the held-out half would choose too,
    `same_sign` the share with the same sign there, and `slope` how large they are there for each unit in
    discovery (below 1: smaller there, as what is chosen for its size tends to be)."""

    rank: Estimate
    top: int
    overlap: float
    same_sign: float
    slope: float


def halves(effects: Screen, discovery: Half, top: int = 10) -> Agreement:
    """The agreement of the components' means on the discovery half and on all other prompts.

    Raises  UsageError if either half has no prompts.
    """
    if discovery.all() or not discovery.any():
        raise UsageError("agreement needs prompts in both halves, got them all in one")
    there, here = effects[:, discovery].mean(-1), effects[:, ~discovery].mean(-1)
    top = min(top, len(effects))
    chosen = np.argsort(-np.abs(there), kind="stable")[:top]
    again = np.argsort(-np.abs(here), kind="stable")[:top]
    return Agreement(
        rank=rank_correlation(there, here),
        top=top,
        overlap=len(np.intersect1d(chosen, again)) / top,
        same_sign=float((np.sign(there[chosen]) == np.sign(here[chosen])).mean()),
        slope=slope(there[chosen], here[chosen]),
    )


def slope(one: Shaped[np.ndarray, " component"], other: Shaped[np.ndarray, " component"]) -> float:
    """How large the others are for each unit of the ones, by a line through zero; NaN if those are all 0."""
    square = float((one**2).sum())
    return float((one * other).sum()) / square if square else float("nan")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where effects stand among those of controls, by magnitude. `share` of the controls are smaller; `p`
    is the chance of a control at least as large, the effect itself counted among them."""

    share: Float[np.ndarray, " ..."]
    p: Float[np.ndarray, " ..."]
    median: float
    largest: float
    n: int


def against_controls(
    effects: Shaped[np.ndarray, " ..."], controls: Shaped[np.ndarray, " ..."]
) -> Standing:
    """The standing of mean effects among the mean effects of control components.

    Raises  UsageError if there are no controls, or if any is not finite.
    """
    sizes = np.sort(np.abs(controls), axis=None).astype(float)
    if not len(sizes) or not np.isfinite(sizes).all():
        raise UsageError(f"expected finite control effects, at least one, got {len(sizes)}")
    smaller = np.searchsorted(sizes, np.abs(effects), side="left")
    n = len(sizes)
    share, p = np.asarray(smaller / n), np.asarray((1 + n - smaller) / (1 + n))
    return Standing(share, p, float(np.median(sizes)), float(sizes[-1]), n)
