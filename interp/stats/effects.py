"""Effects as statistics take them, and an estimate as statistics give it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from interp.errors import UsageError

Effects = Shaped[np.ndarray, "... example"]
Clusters = Int[np.ndarray, " example"]

# Components worked on at once: some 50 MB with 10,000 draws.
_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval and p-value, all of the shape of the components; NaN where there is none.

    `p` is two-sided against zero and inverts the interval: it is below one minus the level just where the
    interval leaves zero out. `method` says how the interval was made, or why there is none. `pooled` is
    the mean over prompts where clusters of unequal size make that another number, and `skewness` that of
    the cluster means.
    """

    value: Float[np.ndarray, " ..."]
    low: Float[np.ndarray, " ..."]
    high: Float[np.ndarray, " ..."]
    n: int
    clusters: int
    method: str
    p: Float[np.ndarray, " ..."] | None = None
    pooled: Float[np.ndarray, " ..."] | None = None
    skewness: Float[np.ndarray, " ..."] | None = None


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
