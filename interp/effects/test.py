"""A selection put to the test: its verdict, and the numbers that a page shows of it.

The screen chooses on its discovery half and has measured every component on its held-out half; fresh
prompts confirm. The verdict has its null (the choice at random), its population (to what it generalises)
and its power (the smallest effect that the design finds).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from interp import stats
from interp.effects.effects import Effects
from interp.effects.selection import Selection
from interp.stats import Estimate
from interp.stats.selection import Ranking, rank_among_random
from interp.stats.verdict import (
    LEAST_CONFIRMING,
    Confirmation,
    Verdict,
    confirm,
    decide,
    picked_at_random,
    together,
)


@dataclass(frozen=True, eq=False)
class Test:
    """The chosen components, what they have to beat, and how they did on the prompts of `fresh`. `labels`
    names the chosen, the strongest first; `what` and `matched` say in words what they are and within what
    random sets were drawn; `at_random` is how often a choice at random would have passed."""

    # Not a class of tests, whatever pytest makes of its name.
    __test__ = False

    selection: Selection
    fresh: Effects
    what: str
    matched: str
    labels: tuple[str, ...]
    ranking: Ranking
    confirmation: Confirmation
    at_random: float
    seed: int = 0

    @property
    def verdict(self) -> Verdict:
        """What the rule of `interp.stats.verdict.decide` says."""
        return decide(self.ranking, self.confirmation)

    @cached_property
    def each(self) -> Estimate:
        """Every chosen component on the fresh prompts; without intervals on too few clusters."""
        found = self.fresh.interval(self.seed)
        return found if self.confirmation.enough else without_interval(found)

    @property
    def first(self) -> pd.Series:
        """The row of the strongest."""
        return self.frame.iloc[0]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows of confirmed.csv: names, discovery_effect, effect, ci_low, ci_high, p, p_corrected, n."""
        found = self.each
        screen, chosen = self.selection.screen, self.selection.discovery
        half = screen.only(self.selection.rows).where(chosen)
        p = np.full(len(self.labels), np.nan) if found.p is None else found.p
        columns = {
            "discovery_effect": stats.cluster_means(half.values, half.task.clusters).mean(-1),
            "effect": found.value,
            "ci_low": found.low,
            "ci_high": found.high,
            "p": p,
            "p_corrected": stats.benjamini_hochberg(p),
            "n": found.n,
        }
        return half.beside(pd.DataFrame(columns))

    @property
    def skewed(self) -> list[str]:
        """The components whose clusters' means are too skewed for their intervals to be trusted."""
        found = self.each.skewness
        if found is None or not self.confirmation.enough:
            return []
        return [
            label
            for label, each in zip(self.labels, np.abs(found), strict=True)
            if each > stats.SKEWED
        ]


def test(
    selection: Selection,
    fresh: Effects,
    controls: Mapping[str, Effects],
    what: str,
    matched: str,
    directed: Effects | None,
    seed: int,
) -> Test:
    """As `Selection.test` says."""
    screen, rows = selection.screen, selection.rows
    clusters, values = screen.task.clusters, screen.values
    if directed is not None:
        # What the discovery prompts say of the direction is all that is taken from them.
        values = values.copy()
        values[:, selection.discovery] = directed.values[:, selection.discovery]
    elif selection.one_sided:
        values = values.copy()
        values[:, selection.discovery] = 1.0
    given = values, selection.discovery, rows, selection.strata, clusters
    ranking = rank_among_random(*given, seed=seed)
    return Test(
        selection,
        fresh,
        what,
        matched,
        tuple(map(str, selection.components)),
        ranking,
        confirm(
            fresh.values,
            selection.signs[rows],
            {name: each.values for name, each in controls.items()},
            fresh.task.clusters,
            fresh.task.items,
            seed=seed,
        ),
        picked_at_random(*given, ranking, seed=seed),
        seed,
    )


test.__test__ = False  # type: ignore[attr-defined]


def verdict_of(tests: Sequence[Test]) -> Verdict:
    """Of several choices, as `interp.stats.verdict.together` says."""
    return together(each.verdict for each in tests)


def without_interval(found: Estimate) -> Estimate:
    """The estimate alone, where there are too few clusters to say how sure it is."""
    nothing = np.full(np.shape(found.value), np.nan)
    said = too_few(found.clusters)
    return replace(found, low=nothing, high=nothing, p=nothing, method=said)


def too_few(clusters: int) -> str:
    """Why there is neither interval nor verdict."""
    groups = "group" if clusters == 1 else "groups"
    return (
        f"No interval and no verdict: {clusters} independent held-out {groups} of prompts, "
        f"{LEAST_CONFIRMING} are needed."
    )
