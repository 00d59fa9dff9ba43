"""Scores of components as a screen shows them: chosen on one half of its prompts, beside the other half,
order by order.

Effects are arrays `[component example]`, one column a kept prompt of the task; `names` is a frame with
one row a component (such as columns layer and head) that begins every table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from interp import stats
from interp.components import Head, Neuron
from interp.report import Check, Heatmap, Maps, Table
from interp.tasks import Task

if TYPE_CHECKING:
    from interp.transformer import Config

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

    Raises  NotApplicable if the task cannot hold prompts out.
    """
    discovery = held_apart(task)
    means = stats.cluster_means(effects[:, discovery], task.clusters[discovery]).mean(-1)
    rows = np.argsort(-np.abs(means), kind="stable")[:top]
    return Chosen(rows, np.sign(means), discovery)


def held_apart(task: Task) -> Bool[np.ndarray, " example"]:
    """The screen's discovery half, once it is sure that there are a held-out half and fresh prompts.

    Raises  NotApplicable, with the reason and the way out, if there are not.
    """
    _ = task.confirmation
    return task.where(half="discovery")


def estimates(names: pd.DataFrame, effects: Effects, task: Task, seed: int = 0) -> pd.DataFrame:
    """names, effect, ci_low, ci_high, p_corrected (for all rows together) over all kept prompts, and pooled
    where templates have unequally many."""
    found = stats.table(effects, task.clusters, task.items, seed=seed)
    return beside(names, found.drop(columns=["p", "n"]))


def by_order(names: pd.DataFrame, effects: Effects, task: Task, seed: int = 0) -> pd.DataFrame:
    """names, order, effect, ci_low, ci_high, n: the prompts of every order by themselves."""
    frames = []
    for order in orders(task):
        where = task.where(order=order)
        found = stats.table(effects[:, where], task.clusters[where], signed=False, seed=seed)
        labelled = names.assign(order=order)
        frames.append(beside(labelled, found[["effect", "ci_low", "ci_high", "n"]]))
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
    return beside(labelled, found[["effect", "ci_low", "ci_high", "p_corrected", "n"]])


def named_parts(names: pd.DataFrame) -> list[str]:
    """`L5H1`, `L5N77` or `L5`, for rows with columns layer and head or neuron."""
    kinds = {"head": Head, "neuron": Neuron}
    inner = next((column for column in kinds if column in names), None)
    if inner is None:
        return [f"L{layer}" for layer in names["layer"]]
    return [str(kinds[inner](*each)) for each in zip(names["layer"], names[inner], strict=True)]


def others(
    chosen: Chosen, strata: Int[np.ndarray, " component"], seed: int
) -> Int[np.ndarray, " label"]:
    """For every chosen component a random one of its stratum that was not chosen, to be shown beside it;
    fewer where a stratum has no more."""
    random = np.random.default_rng(seed)
    found: list[int] = []
    for row in chosen.rows:
        left = np.setdiff1d(np.flatnonzero(strata == strata[row]), [*chosen.rows, *found])
        found += random.permutation(left)[:1].tolist()
    return np.array(found, dtype=np.int64)


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
    cells = "Cells are means over prompts; tables weigh templates alike."
    return Maps(maps, note=f"{note} {cells}".strip())


def split_halves(task: Task) -> Check:
    """That no template is in both halves, so that choice and estimate share nothing."""
    discovery = task.where(half="discovery")
    shared = np.intersect1d(task.clusters[discovery], task.clusters[~discovery])
    return Check("templates in both halves of the prompts", len(shared), 0)


def beside(names: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The columns of `found` after those that name the rows."""
    return pd.concat([names.reset_index(drop=True), found.reset_index(drop=True)], axis=1)
