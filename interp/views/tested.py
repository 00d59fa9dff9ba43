"""A choice of components put to the test: its verdict, and what a page shows of it.

The screen chooses on its discovery half and has measured every component on its held-out half; fresh
prompts confirm. The verdict prints its null (the choice at random), its population (to what it
generalises) and its power (the smallest effect that the design finds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from interp import stats
from interp.report import Distribution, Headline, NotRun, Table
from interp.report.blocks import Verdict
from interp.stats import Estimate
from interp.stats.selection import Ranking, rank_among_random
from interp.stats.verdict import (
    LEAST_CONFIRMING,
    Confirmation,
    confirm,
    decide,
    picked_at_random,
)
from interp.tasks import Task
from interp.views.scores import Chosen, Effects, beside, named_parts


@dataclass(frozen=True)
class Tested:
    """The chosen components, what they have to beat, and how they did.

    `labels` names the chosen, the strongest first; `what` and `strata` say in words what they are and
    within what they are matched.
    """

    what: str
    strata: str
    labels: tuple[str, ...]
    names: pd.DataFrame
    ranking: Ranking
    confirmation: Confirmation
    at_random: float
    effects: Float[np.ndarray, "label example"]
    discovery: Float[np.ndarray, " label"]
    fresh: Task
    unit: str = "logits"
    seed: int = 0

    @property
    def verdict(self) -> Verdict:
        """What the rule of `interp.stats.verdict.decide` says."""
        return decide(self.ranking, self.confirmation)

    @property
    def each(self) -> Estimate:
        """Every chosen component on the fresh prompts; without intervals on too few clusters."""
        found = stats.mean(self.effects, self.fresh.clusters, self.fresh.items, seed=self.seed)
        return found if self.confirmation.enough else without_interval(found)

    @property
    def first(self) -> pd.Series:
        """The row of the strongest."""
        return self.frame.iloc[0]

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of confirmed.csv: names, discovery_effect, effect, ci_low, ci_high, p, p_corrected, n."""
        found = self.each
        p = np.full(len(self.labels), np.nan) if found.p is None else found.p
        columns = {
            "discovery_effect": self.discovery,
            "effect": found.value,
            "ci_low": found.low,
            "ci_high": found.high,
            "p": p,
            "p_corrected": stats.benjamini_hochberg(p),
            "n": found.n,
        }
        return beside(self.names, pd.DataFrame(columns))

    def confirmed(self, name: str = "confirmed") -> Table:
        """Every chosen component, estimated on the fresh prompts."""
        found = self.each
        note = f"Interval: {found.method}; p inverts it."
        if not self.confirmation.enough:
            note = too_few(found.clusters)
        elif found.skewness is not None and (np.abs(found.skewness) > stats.SKEWED).any():
            skewed = np.array(self.labels)[np.abs(found.skewness) > stats.SKEWED]
            note += (
                f" Cluster means are skewed beyond {stats.SKEWED} for {', '.join(skewed[:5])}: these "
                "intervals may be too short."
            )
        return Table(
            name,
            self.frame,
            title=f"The chosen {self.what}, estimated on {self.fresh.n} held-out prompts",
            note=note,
            first_rows=max(len(self.labels), 1),
        )

    def sentence(self, does: str = "move it by") -> str:
        """How the chosen did together, beside their directional controls, and their rank."""
        chosen = self.confirmation.chosen
        others = " and ".join(
            f"{name} {float(each.value):.2f}" for name, each in self.confirmation.controls.items()
        )
        said = (
            f"The {len(self.labels)} strongest {does} {float(chosen.value):.2f} each there, "
            "the way they did"
        )
        said += " where they were chosen" + (f"; {others}" if others else "")
        if self.ranking.ran:
            said += f". Among random sets {self.strata} they rank p = {self.ranking.p:.2g}"
        return said + "."

    def headlines(self) -> list[Headline]:
        """The strongest and all chosen together, confirmed, and their rank among random sets."""
        found, all_of = self.frame, self.confirmation.chosen
        first = found.iloc[0]
        ends = {} if np.isnan(first.ci_low) else {"low": first.ci_low, "high": first.ci_high}
        shown = [
            Headline(
                f"{self.labels[0]}, confirmed",
                first.effect,
                self.unit,
                n=int(first.n),
                note="chosen on the screen's discovery half, estimated on held-out prompts",
                **ends,
            )
        ]
        if len(self.labels) > 1:
            whole = self.confirmation.enough
            shown.append(
                Headline(
                    f"the {len(self.labels)} chosen, mean",
                    float(all_of.value),
                    self.unit,
                    float(all_of.low) if whole else None,
                    float(all_of.high) if whole else None,
                    all_of.n,
                    "each in the direction that it had on the discovery half",
                )
            )
        if self.ranking.ran:
            shown.append(
                Headline(
                    "rank among random sets, p",
                    self.ranking.p,
                    note=f"{self.ranking.draws} sets of as many {self.what} {self.strata}",
                )
            )
        return shown

    def per_prompt(self, title: str) -> Distribution:
        """The effect of every chosen component on every fresh prompt."""
        found = self.each
        return Distribution(
            title,
            list(self.labels),
            self.effects,
            unit=self.unit,
            means=found.value,
            low=found.low,
            high=found.high,
            groups=[prompt.order for prompt in self.fresh.kept],
            examples=[prompt.clean for prompt in self.fresh.kept],
            note="The strongest of the screen's discovery half first, on fresh prompts.",
        )

    @property
    def not_run(self) -> list[NotRun]:
        """The control that there were too few components for."""
        if self.ranking.ran:
            return []
        return [NotRun(f"random sets of {self.what} {self.strata}", self.ranking.reason)]

    @property
    def files(self) -> dict[str, pd.DataFrame]:
        """The prompts that confirmed."""
        return {"confirmation_prompts": self.fresh.frame()}


def judge(
    what: str,
    names: pd.DataFrame,
    effects: Effects,
    task: Task,
    chosen: Chosen,
    strata: Int[np.ndarray, " component"],
    fresh: Task,
    confirmed: Float[np.ndarray, "label example"],
    controls: Mapping[str, Float[np.ndarray, "label example"]],
    *,
    matched: str = "of the same layers",
    labels: Sequence[str] | None = None,
    directed: Effects | None = None,
    unit: str = "logits",
    seed: int = 0,
) -> Tested:
    """The chosen rows of `effects` (of the screen) ranked among random sets of the same strata, and
    confirmed by their effects on the fresh prompts, beside those of directional controls.

    `names` has a row for every component of the screen; `confirmed` and each control one for every
    chosen component, in the order of `chosen.rows`. The direction in which a component counts is that of
    its discovery mean, of other effects where they are `directed` by them.
    """
    rows, clusters = chosen.rows, task.clusters
    discovery = effects[rows][:, chosen.discovery]
    discovery = stats.cluster_means(discovery, clusters[chosen.discovery]).mean(-1)
    if directed is not None:
        # What the discovery prompts say of the direction is all that is taken from them.
        effects = effects.copy()
        effects[:, chosen.discovery] = directed[:, chosen.discovery]
    ranking = rank_among_random(effects, chosen.discovery, rows, strata, clusters, seed=seed)
    return Tested(
        what,
        matched,
        tuple(labels if labels is not None else named_parts(names.iloc[rows])),
        names.iloc[rows].reset_index(drop=True),
        ranking,
        confirm(confirmed, chosen.signs[rows], controls, fresh.clusters, fresh.items, seed=seed),
        picked_at_random(effects, chosen.discovery, rows, strata, clusters, ranking, seed=seed),
        confirmed,
        discovery,
        fresh,
        unit,
        seed,
    )


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
