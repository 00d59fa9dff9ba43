"""The components that were chosen on the discovery half of a screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from interp import stats
from interp.effects.effects import Effects, layers
from interp.errors import UsageError
from interp.stats.selection import matched
from interp.tasks.examples import Examples

if TYPE_CHECKING:
    from interp.effects.test import Test


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows of the screen's effects, the strongest first; `signs` are the directions of all components
    on the discovery half, where the choice was made. Of `one_sided` effects all count upwards."""

    screen: Effects
    rows: Int[np.ndarray, " label"]
    signs: Float[np.ndarray, " component"]
    discovery: Bool[np.ndarray, " example"]
    one_sided: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def components(self) -> list[Any]:
        """The chosen components."""
        return [self.screen.components[row] for row in self.rows]

    @property
    def names(self) -> pd.DataFrame:
        """One row a chosen component, with the columns that name it."""
        return self.screen.only(self.rows).names

    @property
    def held_out(self) -> Bool[np.ndarray, " example"]:
        """The prompts of the screen on which nothing was chosen."""
        return ~self.discovery

    @cached_property
    def strata(self) -> Int[np.ndarray, " component"]:
        """Within which components of the screen are alike: by default their layers."""
        given = self.screen.strata
        return layers(self.screen.names) if given is None else given

    def frame(self, seed: int = 0) -> pd.DataFrame:
        """names, discovery_effect, effect, ci_low, ci_high, p, p_corrected (for as many as were chosen), n
        and pooled, where templates have unequally many prompts, on the held-out half of the screen."""
        chosen = self.screen.only(self.rows)
        there, half = chosen.where(self.held_out), chosen.where(self.discovery)
        found = stats.table(there.values, there.task.clusters, signed=there.signed, seed=seed)
        found.insert(0, "discovery_effect", half.mean())
        return chosen.beside(found)

    def matched(self, seed: int) -> Int[np.ndarray, " label"]:
        """For every chosen component the row of a random one of its stratum that was not chosen, to be
        shown beside it; fewer where a stratum has no more."""
        return matched(self.rows, self.strata, seed)

    def upwards(self) -> Selection:
        """The same choice, whose effects count as positive ones whichever way they went."""
        return replace(self, signs=np.ones_like(self.signs), one_sided=True)

    def test(
        self,
        fresh: Effects,
        controls: Mapping[str, Effects],
        *,
        what: str | None = None,
        matched: str | None = None,
        directed: Effects | None = None,
        seed: int = 0,
    ) -> Test:
        """The choice ranked among random sets of the same strata on the screen's held-out half, and
        confirmed on fresh prompts beside changes in other directions. `fresh` and each control have a row
        for every chosen component. `what` and `matched` say in words what was chosen and within what random
        sets are drawn, where the components' own words do not. The direction in which a component counts is
        that of its discovery mean, of other effects of the screen where they are `directed` by them."""
        from interp.effects.test import test

        ours, theirs = (self.screen.unit, self.screen.signed), (fresh.unit, fresh.signed)
        if ours != theirs:
            raise UsageError(
                f"a choice by effects in {ours[0]} is tested by effects of the same metric on fresh prompts, "
                f"got {theirs[0]}; measure them with the metric of the screen"
            )
        what = self.what if what is None else what
        matched = self.matched_within if matched is None else matched
        return test(self, fresh, controls, what, matched, directed, seed)

    @property
    def what(self) -> str:
        """What the components that could have been chosen are called together."""
        names = {getattr(each, "plural", "components") for each in self.screen.components}
        return names.pop() if len(names) == 1 else "components"

    @property
    def matched_within(self) -> str:
        """Within what random sets are drawn, in words."""
        given = self.screen.strata
        return "of any layer" if given is not None and not given.any() else "of the same layers"


def select(effects: Effects, top: int, lowering: bool = False) -> Selection:
    """As `Effects.select` says, by means of clusters' means."""
    discovery = on_discovery(effects.task)
    half = effects.where(discovery)
    means = stats.cluster_means(half.values, half.task.clusters).mean(-1)
    rows = np.argsort(-np.abs(means), kind="stable")[:top]
    if lowering:
        rows = np.argsort(means, kind="stable")[: min(top, int((means < 0).sum()))]
    return Selection(effects, rows, np.sign(means), discovery)


def on_discovery(task: Examples[Any]) -> Bool[np.ndarray, " example"]:
    """The discovery half of a screen, once it is sure that there are a held-out half and fresh prompts.

    Raises  NotApplicable, with the reason and the way out, if there are not.
    """
    _ = task.confirmation
    return task.where(half="discovery")
