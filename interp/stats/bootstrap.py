"""Means, shares and ratios over prompts, with an interval that resamples whole clusters."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Shaped

from interp.errors import UsageError
from interp.stats.effects import Clusters, Effects, Estimate, by_cluster, chunks, rows

# Below so many clusters the percentile interval is too narrow, so the interval is studentised.
STUDENTISED_BELOW = 50
# With fewer, a resample is too often nearly one cluster over and over: both intervals cover 95 %, but
# at four clusters the studentised one is twice as long as Student's, and forty times in one of 100.
LEAST_CLUSTERS = 8


def mean(
    effects: Effects,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Each component's mean over prompts, with a bootstrap interval that resamples whole clusters.

    Student's t stands in, with as many degrees of freedom as clusters less one, under
    `LEAST_CLUSTERS` clusters and for components whose effect is the same on nearly all prompts.

    Raises  UsageError for no prompts, for values that are not finite, and for clusters of another
            number than the prompts.
    """
    return ratio_of_means(
        effects, np.ones(np.shape(effects)[-1]), clusters, level=level, draws=draws, seed=seed
    )


def ratio_of_means(
    effects: Effects,
    denominators: Shaped[np.ndarray, " example"],
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Mean effect over mean denominator: prompts with a small denominator weigh little.

    No interval is given if the denominator's own mean may be zero.

    Raises  UsageError as `mean` does, and for denominators that sum to zero.
    Source  Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 12 (studentised), 13
            (percentile).
    """
    values, shape = rows(effects)
    sums, number = by_cluster(values, clusters)
    weights = by_cluster(rows(denominators)[0], clusters)[0][0]
    if len(weights) != number or weights.sum() == 0:
        raise UsageError(
            f"denominators must be one for each of {values.shape[1]} prompts and not sum to zero"
        )
    value = sums.sum(-1) / weights.sum()
    low, high = np.full_like(value, np.nan), np.full_like(value, np.nan)
    method = _method(weights, number)
    if not method.startswith("no interval"):
        times = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), draws)
        for part in chunks(len(sums)):
            low[part], high[part] = _interval(sums[part], weights, times.astype(float), level)
    n = values.shape[1]
    return Estimate(
        value.reshape(shape), low.reshape(shape), high.reshape(shape), n, number, method
    )


def mean_of_ratios(
    effects: Effects,
    denominators: Shaped[np.ndarray, " example"],
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The mean over prompts of effect over denominator: every prompt weighs the same, and one with
    a small denominator can outweigh all others.

    Raises  UsageError as `mean` does, and for a denominator of zero.
    """
    if not np.all(denominators):
        raise UsageError("a mean of ratios needs denominators other than zero; use ratio_of_means")
    ratios = np.asarray(effects, dtype=float) / denominators
    return mean(ratios, clusters, level=level, draws=draws, seed=seed)


def share(
    hits: Bool[np.ndarray, " example"], clusters: Clusters | None = None, *, level: float = 0.95
) -> Estimate:
    """The share of prompts that are hits, with Wilson's interval for as many independent prompts as
    their agreement within clusters leaves: never fewer than there are clusters, and just those where
    all prompts are hits or none is, since that cannot tell how alike the prompts of a cluster are.

    Source  Wilson 1927, as statsmodels computes it; Kish 1965, Survey Sampling (design effect).
    """
    from statsmodels.stats.proportion import proportion_confint

    values, _ = rows(hits)
    n = values.shape[1]
    value = float(values.mean())
    sums, number = by_cluster(values - value, clusters)
    spread = float((sums**2).sum()) / n**2
    alike = value * (1 - value) / spread if spread else 0.0
    independent = float(np.clip(alike, number, n))
    low, high = proportion_confint(value * independent, independent, 1 - level, method="wilson")
    low, high = np.clip([low, high], 0.0, 1.0)
    return Estimate(np.array(value), np.array(low), np.array(high), n, number, "Wilson")


def _method(weights: np.ndarray, number: int) -> str:
    if number < 2:
        return "no interval: one independent cluster, 2 are needed"
    spread = weights - weights.mean()
    error = np.sqrt((spread**2).sum() / (number - 1) / number)
    # Nearer to zero, some resamples divide by next to nothing.
    if abs(weights.mean()) < 4 * error and (weights < 0).any():
        return "no interval: the denominators' mean may be zero"
    if number < LEAST_CLUSTERS:
        return f"Student's t: {number} independent clusters"
    if number < STUDENTISED_BELOW:
        return "bootstrap, studentised; Student's t where nearly all prompts agree"
    return "bootstrap, percentile"


def _interval(
    sums: np.ndarray, weights: np.ndarray, times: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high `[component]` of the ratios of all sums to all weights."""
    from scipy.special import stdtrit

    ends = ((1 - level) / 2, (1 + level) / 2)
    number = len(weights)
    if number >= STUDENTISED_BELOW:
        drawn = (times @ sums.T) / (times @ weights)[:, None]
        low, high = np.quantile(drawn, ends, axis=0)
        return low, high
    value = sums.sum(-1) / weights.sum()
    residuals = sums - value[:, None] * weights
    residuals[np.abs(residuals).max(-1) <= 1e-12 * np.abs(sums).max(-1)] = 0.0
    error = np.sqrt((residuals**2).sum(-1) * number / (number - 1)) / abs(weights.sum())
    low_t, high_t = np.broadcast_to(stdtrit(number - 1, ends)[:, None], (2, len(sums))).copy()
    if number >= LEAST_CLUSTERS:
        t = _deviations(residuals, weights, times)
        # An infinite one is a resample of clusters that agree: it says nothing about the spread.
        below, above = np.quantile(t, ends, axis=0, method="nearest")
        usable = np.isfinite(below) & np.isfinite(above)
        low_t[usable], high_t[usable] = below[usable], above[usable]
    # Where resamples come out high, the truth lies low.
    return value - high_t * error, value - low_t * error


def _deviations(residuals: np.ndarray, weights: np.ndarray, times: np.ndarray) -> np.ndarray:
    """`[draw, component]` how many of its own errors each resample lies from the whole."""
    number = len(weights)
    total = (times @ weights)[:, None]
    shift = (times @ residuals.T) / total
    squares = times @ (residuals**2).T - 2 * shift * (times @ (residuals * weights).T)
    squares += shift**2 * (times @ weights**2)[:, None]
    error = np.sqrt(np.maximum(squares, 0.0) * number / (number - 1)) / np.abs(total)
    flat = error <= 1e-7 * np.abs(shift)
    t: np.ndarray = np.where(flat, np.copysign(np.inf, shift), shift / np.where(flat, 1.0, error))
    return t
