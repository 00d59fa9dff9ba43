"""The verdict on a selection: its three conditions, what they were held against, and their power."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from interp.stats.effects import Clusters, Estimate, Half, Rows, Screen, Strata
from interp.stats.intervals import mean
from interp.stats.selection import EXTREME, Ranking, directions, random_sets, signed_means

Verdict = Literal["supported", "not supported", "inconclusive"]

# Fewer confirming clusters give estimates, and no verdict.
LEAST_CONFIRMING = 8
# How often the smallest effect of `smallest_effect` is found.
POWER = 0.8
RECHOICES = 1000


@dataclass(frozen=True)
class Confirmation:
    """The chosen components on fresh prompts, in the direction that they had on the discovery prompts.
    `chosen` is their mean effect; `controls` that of each directional control on the same prompts, and
    `differences` the paired difference from each."""

    chosen: Estimate
    controls: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]

    @property
    def enough(self) -> bool:
        """Whether there are clusters enough for a verdict."""
        return self.chosen.clusters >= LEAST_CONFIRMING


def confirm(
    effects: Shaped[np.ndarray, "label example"],
    signs: Float[np.ndarray, " label"],
    controls: Mapping[str, Shaped[np.ndarray, "label example"]],
    clusters: Clusters,
    items: Clusters | None = None,
    *,
    seed: int = 0,
) -> Confirmation:
    """The chosen components' effects on fresh prompts, beside those of directional controls. `signs` are
    those of the discovery prompts."""
    ours = (signs[:, None] * effects).mean(0)
    theirs = {name: (signs[:, None] * each).mean(0) for name, each in controls.items()}
    return Confirmation(
        mean(ours, clusters, items, seed=seed),
        {name: mean(each, clusters, items, seed=seed) for name, each in theirs.items()},
        {name: mean(ours - each, clusters, items, seed=seed) for name, each in theirs.items()},
    )


def decide(ranking: Ranking, confirmation: Confirmation) -> Verdict:
    """Supported: the chosen set is among the first 2.5 % of random ones, and its confirmation and every
    paired difference from a directional control lie beyond zero. Not supported: its confirmation lies on
    the other side of zero, or it is among the last 2.5 %, its interval over the held-out clusters of the
    screen lies there (a rank alone is of these very prompts), and so does its mean on the fresh prompts
    (an interval over the few clusters of a screen is no proof). All else is inconclusive, and so is a
    ranking that was not run or a confirmation on too few clusters."""
    if not confirmation.enough or not ranking.ran:
        return "inconclusive"
    below = ranking.held_out.high < 0 and confirmation.chosen.value < 0
    last = ranking.p >= 1 - EXTREME and below
    if last or confirmation.chosen.high < 0:
        return "not supported"
    beyond = [confirmation.chosen, *confirmation.differences.values()]
    if ranking.p <= EXTREME and all(each.low > 0 for each in beyond):
        return "supported"
    return "inconclusive"


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Of conditions that all have to hold: supported if all are, not supported if one is not, else
    inconclusive."""
    found = set(verdicts)
    if found == {"supported"}:
        return "supported"
    return "not supported" if "not supported" in found else "inconclusive"


def picked_at_random(
    effects: Screen,
    discovery: Half,
    chosen: Rows,
    strata: Strata,
    clusters: Clusters,
    ranking: Ranking,
    *,
    draws: int = RECHOICES,
    seed: int = 0,
) -> float:
    """How often components picked at random would have passed: among the first 2.5 % of random sets, with
    an interval beyond zero on the held-out prompts of the screen. NaN if the ranking was not run. What only
    fresh forward passes tell (the confirmation, the directional controls) is left out, so the whole study
    says *supported* no more often than this."""
    if not ranking.ran:
        return float("nan")
    # Another seed than the ranking's, so that no set is compared with itself.
    sets = random_sets(chosen, strata, draws, seed + 1)
    values = signed_means(effects, discovery, clusters)[sets].mean(-1)
    above = np.searchsorted(np.sort(ranking.null), values, side="left")
    p = (1 + len(ranking.null) - above) / (1 + len(ranking.null))
    first = np.flatnonzero(p <= EXTREME)
    if not len(first):
        return 0.0
    signs = directions(effects, discovery, clusters)
    each = (signs[:, None] * effects)[:, ~discovery][sets[first]].mean(1)
    passed = mean(each, clusters[~discovery], seed=seed).low > 0
    return float(passed.sum() / draws)


def smallest_effect(confirmation: Confirmation) -> float:
    """The smallest mean effect whose interval, and whose differences from the directional controls, would
    lie beyond zero 8 times in 10: the longest half-length, and what Student's t adds for the power."""
    from scipy.special import stdtrit

    found = []
    for each in (confirmation.chosen, *confirmation.differences.values()):
        if each.clusters < 2:
            return float("nan")
        freedom = each.clusters - 1
        half = float(each.value - each.low)
        error = float(each.high - each.low) / 2 / float(stdtrit(freedom, 1 - EXTREME))
        found.append(half + error * float(stdtrit(freedom, POWER)))
    return max(found)
