"""Scores of components as a study shows them: chosen on one half of the prompts, estimated on the
other, beside controls, order by order and prompt by prompt.

Effects are arrays `[component example]`, one column a kept prompt of the task; `names` is a frame with
one row a component (such as columns layer and head) that begins every table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from interp import stats
from interp.errors import NotApplicable
from interp.report import Check, Distribution, Heatmap, Maps, Table
from interp.report.blocks import Verdict
from interp.stats import Estimate
from interp.tasks import Task

if TYPE_CHECKING:
    from interp.transformer import Config, Transformer

Effects = Float[np.ndarray, "component example"]


@dataclass(frozen=True)
class Chosen:
    """The components with the largest mean effects on the discovery half, the largest first; `signs`
    are those of all components' means there."""

    rows: Int[np.ndarray, " label"]
    signs: Float[np.ndarray, " component"]
    discovery: Bool[np.ndarray, " example"]

    @property
    def held_out(self) -> Bool[np.ndarray, " example"]:
        """The prompts that had no say in the choice."""
        return ~self.discovery


def choose(effects: Effects, task: Task, top: int) -> Chosen:
    """The `top` components by magnitude of their mean effect on the discovery half.

    Raises  NotApplicable if a half has no prompts.
    """
    discovery = task.where(half="discovery")
    if discovery.all() or not discovery.any():
        raise NotApplicable(
            f"components are chosen on some templates and estimated on others, but the {task.n} prompts "
            f"of {task.name} have one template; take more prompts with --n"
        )
    means = effects[:, discovery].mean(-1)
    rows = np.argsort(-np.abs(means), kind="stable")[:top]
    return Chosen(rows, np.sign(means), discovery)


def estimates(names: pd.DataFrame, effects: Effects, task: Task, seed: int = 0) -> pd.DataFrame:
    """names, effect, ci_low, ci_high, p_corrected (for all rows together) over all kept prompts."""
    found = stats.table(effects, task.clusters, seed=seed)
    return _beside(names, found[["effect", "ci_low", "ci_high", "p_corrected"]])


def by_order(names: pd.DataFrame, effects: Effects, task: Task, seed: int = 0) -> pd.DataFrame:
    """names, order, effect, ci_low, ci_high, n: the prompts of every order by themselves."""
    frames = []
    for order in orders(task):
        where = task.where(order=order)
        found = stats.table(effects[:, where], task.clusters[where], signed=False, seed=seed)
        labelled = names.assign(order=order)
        frames.append(_beside(labelled, found[["effect", "ci_low", "ci_high", "n"]]))
    return pd.concat(frames, ignore_index=True)


def orders(task: Task) -> list[str]:
    """The orders of the task's kept prompts, as they first come; one without a name if it has none."""
    return list(dict.fromkeys(prompt.order for prompt in task.kept))


def held_out(
    names: pd.DataFrame, effects: Effects, task: Task, chosen: Chosen, seed: int = 0
) -> pd.DataFrame:
    """The chosen components: their mean on the discovery half, and effect, interval and p (corrected
    for as many as were chosen) on the other."""
    where = chosen.held_out
    found = stats.table(effects[chosen.rows][:, where], task.clusters[where], seed=seed)
    there = effects[chosen.rows][:, chosen.discovery].mean(-1)
    labelled = names.iloc[chosen.rows].assign(discovery_effect=there)
    return _beside(labelled, found[["effect", "ci_low", "ci_high", "p_corrected", "n"]])


@dataclass(frozen=True)
class Contest:
    """The mean effect of the chosen components and of controls on the held-out half, each counted in
    the direction that it had on the discovery half, and the difference between the two."""

    control: str
    chosen: Estimate
    controls: Estimate
    difference: Estimate
    largest: float
    n_controls: int


def contest(
    control: str,
    effects: Effects,
    chosen: Chosen,
    controls: Float[np.ndarray, "intervention example"],
    task: Task,
    seed: int = 0,
) -> Contest:
    """The chosen components against these controls."""
    where, clusters = chosen.held_out, task.clusters[chosen.held_out]
    ours = (effects[chosen.rows] * chosen.signs[chosen.rows, None])[:, where].mean(0)
    theirs_sign = np.sign(controls[:, chosen.discovery].mean(-1))
    theirs = (controls * theirs_sign[:, None])[:, where].mean(0)
    return Contest(
        control,
        stats.mean(ours, clusters, seed=seed),
        stats.mean(theirs, clusters, seed=seed),
        stats.mean(ours - theirs, clusters, seed=seed),
        float(np.abs(controls[:, where].mean(-1)).max()),
        len(controls),
    )


def peers(
    chosen: Chosen, layers: Int[np.ndarray, " component"], seed: int, each: int = 4
) -> Int[np.ndarray, " label"]:
    """Random components from the layers of the chosen ones that were not chosen themselves: up to
    `each` for every one chosen. Empty where a layer has no others."""
    random = np.random.default_rng(seed)
    found = []
    for row in chosen.rows:
        others = np.setdiff1d(np.flatnonzero(layers == layers[row]), chosen.rows)
        found.append(random.permutation(others)[:each])
    return np.concatenate(found).astype(np.int64)


def verdict(contests: Sequence[Contest]) -> Verdict:
    """Supported if the chosen beat every control beyond doubt, not supported if they lose to one."""
    if all(each.difference.low > 0 for each in contests):
        return "supported"
    if any(each.difference.high < 0 for each in contests):
        return "not supported"
    return "inconclusive"


def contest_table(contests: Sequence[Contest], unit: str = "logits") -> Table:
    """Who was compared, and by how much the chosen components win."""
    rows = [
        {
            "control": each.control,
            "controls": each.n_controls,
            "chosen_effect": float(each.chosen.value),
            "control_effect": float(each.controls.value),
            "difference": float(each.difference.value),
            "ci_low": float(each.difference.low),
            "ci_high": float(each.difference.high),
            "largest_control": each.largest,
            "n": each.difference.n,
        }
        for each in contests
    ]
    return Table(
        "controls",
        pd.DataFrame(rows),
        title="Chosen components against controls, on the held-out half",
        note=f"Mean effect in {unit}, each in the direction that it had on the discovery half. "
        f"Interval of the difference: {contests[0].difference.method}, "
        f"{contests[0].difference.clusters} templates.",
    )


def halves_table(effects: Mapping[str, Effects], chosen: Chosen, top: int) -> Table:
    """How far each scoring of the components agrees between the two halves."""
    rows = []
    for name, each in effects.items():
        found = stats.halves(each, chosen.discovery, top)
        rows.append(
            {
                "scores": name,
                "rank_correlation": float(found.rank.value),
                "ci_low": float(found.rank.low),
                "ci_high": float(found.rank.high),
                f"shared_of_top_{found.top}": found.overlap,
                "same_sign": found.same_sign,
                "slope": found.slope,
            }
        )
    return Table(
        "halves",
        pd.DataFrame(rows),
        title="Do the two halves of the prompts agree?",
        note="slope: how large the chosen effects are on the held-out half for each unit on the "
        "discovery half; below 1 the choice flattered them.",
    )


def agreement_table(effects: Mapping[str, Effects], top: int = 10) -> Table:
    """How alike different scorings rank the same components."""
    means = {name: each.mean(-1) for name, each in effects.items()}
    rows = []
    for one, other in combinations(means, 2):
        rank = stats.rank_correlation(means[one], means[other])
        best = [set(np.argsort(-np.abs(means[name]))[:top]) for name in (one, other)]
        rows.append(
            {
                "one": one,
                "other": other,
                "rank_correlation": float(rank.value),
                "ci_low": float(rank.low),
                "ci_high": float(rank.high),
                f"shared_of_top_{top}": len(best[0] & best[1]),
            }
        )
    return Table("agreement", pd.DataFrame(rows), title="Do the ways of scoring rank alike?")


def head_names(config: Config) -> pd.DataFrame:
    """layer and head, one row a head, in the order that methods give heads in."""
    every = np.arange(config.n_layers * config.n_heads)
    return pd.DataFrame({"layer": every // config.n_heads, "head": every % config.n_heads})


def head_map(
    title: str, means: Float[np.ndarray, " component"], n_layers: int, unit: str = ""
) -> Heatmap:
    """One number a head, as a map of layer by head."""
    return Heatmap(title, means.reshape(n_layers, -1), "layer", "head", unit=unit)


def head_maps(
    scores: Mapping[str, Effects], n_layers: int, *, unit: str = "logits", note: str = ""
) -> Maps:
    """Mean effects as maps of layer by head, beside each other, with the prompts behind each cell."""
    maps = [
        replace(
            head_map(title, each.mean(-1), n_layers, unit),
            samples=each.reshape(n_layers, -1, each.shape[-1]),
        )
        for title, each in scores.items()
    ]
    return Maps(maps, note=note)


def tolerance(model: Transformer) -> float:
    """How far a sweep and whole forward passes may lie apart, in logits."""
    return 1e-9 if model.dtype.itemsize == 8 else 1e-3


def per_prompt(
    title: str, names: Sequence[str], effects: Effects, task: Task, chosen: Chosen, seed: int = 0
) -> Distribution:
    """The effect of each chosen component on every prompt; its mean and interval over those that had
    no say in the choice."""
    own = effects[chosen.rows]
    where = chosen.held_out
    found = stats.mean(own[:, where], task.clusters[where], seed=seed)
    return Distribution(
        title,
        names,
        own,
        unit="logits",
        means=found.value,
        low=found.low,
        high=found.high,
        groups=[
            ", ".join(filter(None, [prompt.order, "discovery" if early else "held out"]))
            for prompt, early in zip(task.kept, chosen.discovery, strict=True)
        ],
        examples=[prompt.clean for prompt in task.kept],
        note="Chosen on the discovery half, the strongest first. Means, intervals and the verdict use "
        "the held-out prompts alone.",
    )


def split_halves(task: Task) -> Check:
    """That no template is in both halves, so that choice and estimate share nothing."""
    discovery = task.where(half="discovery")
    shared = np.intersect1d(task.clusters[discovery], task.clusters[~discovery])
    return Check("templates in both halves of the prompts", len(shared), 0)


def _beside(names: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([names.reset_index(drop=True), found.reset_index(drop=True)], axis=1)
