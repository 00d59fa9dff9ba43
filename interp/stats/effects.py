"""Effects as statistics take them, and an estimate as statistics give it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from interp.errors import UsageError

Effects = Shaped[np.ndarray, "... example"]
Clusters = Int[np.ndarray, " example"]
# What a choice is made and ranked by: effects, which prompts discover, which rows are chosen and alike.
Screen = Shaped[np.ndarray, "component example"]
Half = Bool[np.ndarray, " example"]
Rows = Int[np.ndarray, " label"]
Strata = Int[np.ndarray, " component"]

# Components worked on at once: some 50 MB with 10,000 draws.
_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval and p-value, all of the shape of the components; NaN where there is none.
    `p` is two-sided against zero and inverts the interval: it is below one minus the level just where the
    interval leaves zero out. `method` says how the interval was made, or why there is none. `pooled` is the
    mean over prompts where clusters of unequal size make another number, `skewness` that of their means."""

    value: Float[np.ndarray, " ..."]
    low: Float[np.ndarray, " ..."]
    high: Float[np.ndarray, " ..."]
    n: int
    clusters: int
    method: str
    p: Float[np.ndarray, " ..."] | None = None
    pooled: Float[np.ndarray, " ..."] | None = None
    skewness: Float[np.ndarray, " ..."] | None = None

    def __format__(self, spec: str) -> str:
        """A single estimate in words, its interval after it: `0.52 [0.41, 0.63]`."""
        value, low, high = (format(float(x), spec) for x in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


def rows(effects: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """The effects as `[component example]`, and the shape that the components had."""
    values = np.asarray(effects, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise UsageError("statistics need at least one prompt, got none")
    if not np.isfinite(values).all():
        raise UsageError("statistics need finite values; some are NaN or infinite")
    return values.reshape(-1, values.shape[-1]), values.shape[:-1]


def by_cluster(values: np.ndarray, clusters: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each cluster `[component, cluster]`, and how many prompts each has."""
    n = values.shape[1]
    if clusters is None:
        return values, np.ones(n, dtype=np.int64)
    if len(clusters) != n:
        raise UsageError(f"expected the cluster of each of {n} prompts, got {len(clusters)}")
    found, number, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    member = number[:, None] == np.arange(len(found))
    return values @ (member / sizes), sizes


def cluster_means(effects: Effects, clusters: Clusters | None) -> Float[np.ndarray, "... label"]:
    """The mean over the prompts of each cluster, which are what intervals and nulls are made from.

    Raises  UsageError as `rows` does, and for clusters of another number than the prompts.
    """
    values, shape = rows(effects)
    means, _ = by_cluster(values, clusters)
    return means.reshape(*shape, -1)


def chunks(number: int) -> Iterator[slice]:
    """The components, some at a time, so that memory does not grow with their number."""
    return (slice(start, start + _CHUNK) for start in range(0, number, _CHUNK))


def benjamini_hochberg(p: Float[np.ndarray, " ..."]) -> Float[np.ndarray, " ..."]:
    """p-values corrected for the number of components tested, by false discovery rate; NaN stays.

    Source  Benjamini & Hochberg 1995, as SciPy computes it.
    """
    from scipy.stats import false_discovery_control

    corrected = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        corrected[tested] = false_discovery_control(p[tested])
    return corrected
