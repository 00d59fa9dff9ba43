"""The choice at random: what a chosen set of components has to beat, since any fixed set differs from
any other.

Components are chosen on discovery prompts and counted in the direction that they had there. On held-out
prompts the chosen set's mean ranks among sets of as many components, drawn at random from all components
of the same strata (their layers): once each in its own discovery direction, once all in the directions of
the chosen. The first is what a choice at random would give, since components differ for good; the second
is what it would give if only the layer mattered, since a layer's direction shows in the chosen ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod

import numpy as np
from jaxtyping import Float, Int

from interp.errors import UsageError
from interp.stats.effects import Clusters, Estimate, Half, Rows, Screen, Strata, cluster_means
from interp.stats.intervals import mean

# Fewer sets than this cannot put any set among the first 2.5 %.
LEAST_SETS = 40
# One in forty: what a set must reach among random ones, at either end.
EXTREME = 0.025
DRAWS = 999


@dataclass(frozen=True, slots=True)
class Ranking:
    """Where the chosen set's held-out mean stands among those of random sets. `p` is the less favourable of
    two, (1 + the random sets at least as large) / (1 + draws): among random sets in their own directions,
    whose means are `null`, and among random sets in the directions of the chosen. It is NaN with fewer than
    `LEAST_SETS` different sets; `sets` says how many there are. `held_out` is the chosen set's mean with
    its interval over held-out clusters."""

    value: float
    p: float
    draws: int
    sets: int
    null: Float[np.ndarray, " draw"]
    held_out: Estimate

    @property
    def ran(self) -> bool:
        """Whether there were sets enough."""
        return self.sets >= LEAST_SETS

    @property
    def high(self) -> float:
        """The random sets' mean that one in forty reaches; NaN if not run."""
        return float(np.quantile(self.null, 1 - EXTREME)) if self.ran else float("nan")

    @property
    def reason(self) -> str:
        """Why it was not run; empty if it was."""
        if self.ran:
            return ""
        return (
            f"there {'is' if self.sets == 1 else 'are'} only {self.sets} different "
            f"set{'' if self.sets == 1 else 's'} of as many; {LEAST_SETS} are needed for any to be among the "
            "first 2.5 %"
        )


def rank_among_random(
    effects: Screen,
    discovery: Half,
    chosen: Rows,
    strata: Strata,
    clusters: Clusters,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Ranking:
    """The chosen set's mean on the held-out prompts among `draws` random sets, or all where there are fewer.

    Raises  UsageError if either part has no prompts, for an empty choice, and for a component twice.
    """
    _check(effects, discovery, chosen, strata)
    signs = directions(effects, discovery, clusters)
    means = cluster_means(effects[:, ~discovery], clusters[~discovery]).mean(-1)
    each = (signs[chosen, None] * effects[chosen][:, ~discovery]).mean(0)
    held_out = mean(each, clusters[~discovery], seed=seed)
    sets, value = count_sets(chosen, strata), float((signs * means)[chosen].mean())
    if sets < LEAST_SETS:
        return Ranking(value, float("nan"), 0, sets, np.zeros(0), held_out)
    # By stratum, as random sets are: which of a stratum's directions goes to which is drawn too.
    of_chosen = signs[chosen[np.argsort(strata[chosen], kind="stable")]]
    drawn = random_sets(chosen, strata, draws, seed)
    own, theirs = (signs * means)[drawn].mean(-1), (of_chosen * means[drawn]).mean(-1)
    if sets <= draws + 1:
        own, draws = (signs * means)[np.array(list(_all_sets(chosen, strata)))].mean(-1), sets - 1
        p = max(_share(own, value), _above(theirs, value))
    else:
        p = max(_above(own, value), _above(theirs, value))
    return Ranking(value, p, draws, sets, own, held_out)


def _share(null: np.ndarray, value: float) -> float:
    """The share of all sets there are, the chosen one among them, that reach the value."""
    return float((null >= value - _slack(null)).mean())


def _above(null: np.ndarray, value: float) -> float:
    """The same from sets drawn at random."""
    return float((1 + (null >= value - _slack(null)).sum()) / (1 + len(null)))


def signed_means(
    effects: Screen, discovery: Half, clusters: Clusters
) -> Float[np.ndarray, " component"]:
    """Every component's held-out mean of cluster means, in the direction of its discovery mean."""
    signs = directions(effects, discovery, clusters)
    held_out = cluster_means(effects[:, ~discovery], clusters[~discovery]).mean(-1)
    return signs * held_out


def directions(
    effects: Screen, discovery: Half, clusters: Clusters
) -> Float[np.ndarray, " component"]:
    """The sign of every component's mean of cluster means on the discovery prompts."""
    return np.sign(cluster_means(effects[:, discovery], clusters[discovery]).mean(-1))


def count_sets(chosen: Rows, strata: Strata) -> int:
    """How many different sets have as many components of each stratum as the chosen one."""
    return prod(comb(len(members), k) for members, k in _strata(chosen, strata))


def matched(chosen: Rows, strata: Strata, seed: int = 0) -> Int[np.ndarray, " draw"]:
    """For every chosen component a random one of its stratum that was not, as far as there are more."""
    random = np.random.default_rng(seed)
    found: list[int] = []
    for row in chosen:
        alike = np.flatnonzero(strata == strata[row])
        left = np.setdiff1d(alike, [*chosen, *found])
        found += random.permutation(left)[:1].tolist()
    return np.array(found, dtype=np.int64)


def random_sets(
    chosen: Rows, strata: Strata, draws: int, seed: int
) -> Int[np.ndarray, "draw label"]:
    """Sets drawn from all components, as many of each stratum as are chosen, the chosen among them."""
    random = np.random.default_rng(seed)
    columns = []
    for members, k in _strata(chosen, strata):
        # The k smallest of random keys are a random choice without repetition, their order another.
        keys = random.random((draws, len(members)))
        first = np.argpartition(keys, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(keys, first, 1), axis=1)
        columns.append(members[np.take_along_axis(first, order, 1)])
    return np.concatenate(columns, axis=1)


def _strata(chosen: np.ndarray, strata: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """The components of each stratum that was chosen from, and how many were."""
    found, counts = np.unique(strata[chosen], return_counts=True)
    return [(np.flatnonzero(strata == each), int(k)) for each, k in zip(found, counts, strict=True)]


def _all_sets(chosen: np.ndarray, strata: np.ndarray) -> Iterator[list[int]]:
    each = [combinations(members, k) for members, k in _strata(chosen, strata)]
    for parts in product(*each):
        yield [int(row) for part in parts for row in part]


def _slack(null: np.ndarray) -> float:
    """Means that are equal but were added in another order count as equal."""
    return 1e-12 * float(np.abs(null).max(initial=0.0))


def _check(
    effects: np.ndarray, discovery: np.ndarray, chosen: np.ndarray, strata: np.ndarray
) -> None:
    if discovery.all() or not discovery.any():
        raise UsageError("a ranking needs discovery and held-out prompts, got them all in one part")
    if not len(chosen) or len(np.unique(chosen)) < len(chosen):
        raise UsageError(f"expected at least one component, none twice, got {len(chosen)} rows")
    if len(strata) != len(effects):
        raise UsageError(f"expected a stratum for each of {len(effects)} components")
