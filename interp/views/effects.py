"""Effects as a page shows them: tables of every component, maps of layer by head and bars of the MLPs, how
far halves agree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from interp import stats
from interp.components import Component
from interp.effects import Effects, Selection
from interp.report import Chart, Check, Heatmap, Maps, Series, Table
from interp.stats.intervals import LEAST_CLUSTERS
from interp.tasks import Task
from interp.tasks.examples import Examples
from interp.views import pictures

# What a scoring of components is called: a kind of ablation, a site, the state of the MLPs.
Kinds = Mapping[Any, Effects]
# The same where a name may come again.
Pairs = Kinds | Sequence[tuple[Any, Effects]]


def every(
    effects: Effects | Pairs, name: str, title: str = "", *, column: str = "ablation", seed: int = 0
) -> Table:
    """Every component over all kept prompts; of several kinds one below the other, in a `column`."""
    several = [each for _, each in _pairs(effects)]
    frame = stacked(effects, column, lambda each: each.frame(seed))
    return Table(name, frame, title=title, note=p_note(several[0].task, *map(len, several)))


def by_variant(
    effects: Effects | Pairs, name: str, *, column: str = "ablation", seed: int = 0
) -> Table:
    """names, order, effect, ci_low, ci_high, n: the prompts of every variant by themselves."""
    return Table(name, stacked(effects, column, lambda each: _by_variant(each, seed)))


def stacked(
    effects: Effects | Pairs, column: str, frame: Callable[[Effects], pd.DataFrame]
) -> pd.DataFrame:
    """The frames of every kind one below the other, the kind in a column after the names."""
    if isinstance(effects, Effects):
        return frame(effects)
    frames = []
    for kind, each in _pairs(effects):
        one = frame(each)
        one.insert(len(each.names.columns), column, kind)
        frames.append(one)
    return pd.concat(frames, ignore_index=True)


def _pairs(effects: Effects | Pairs) -> Sequence[tuple[Any, Effects]]:
    if isinstance(effects, Effects):
        return [("", effects)]
    return list(effects.items()) if isinstance(effects, Mapping) else effects


def intervals(effects: Effects, seed: int = 0) -> pd.DataFrame:
    """names, effect, ci_low, ci_high and n, without p: it would be of a choice on the same prompts."""
    task = effects.task
    found = stats.table(effects.values, task.clusters, signed=False, seed=seed)
    return effects.beside(found[["effect", "ci_low", "ci_high", "n"]])


def _by_variant(effects: Effects, seed: int) -> pd.DataFrame:
    frames = []
    for variant in effects.by_variant():
        # Clusters keep the numbers that they have among all prompts, and so the draws of a bootstrap.
        where = effects.task.where(order=variant)
        clusters = effects.task.clusters[where]
        found = stats.table(effects.values[:, where], clusters, signed=False, seed=seed)
        frame = effects.beside(found[["effect", "ci_low", "ci_high", "n"]])
        frame.insert(len(effects.names.columns), "order", variant)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def with_variants(effects: Effects) -> dict[str, Effects]:
    """On all prompts, and where there are several variants on those of each by themselves."""
    variants = effects.by_variant()
    return {"all prompts": effects, **(variants if len(variants) > 1 else {})}


def head_map(title: str, means: np.ndarray, n_layers: int, unit: str = "") -> Heatmap:
    """One number a head, as a map of layer by head."""
    return Heatmap(title, means.reshape(n_layers, -1), "layer", "head", unit=unit)


def of_heads(effects: Kinds) -> dict[Any, Effects]:
    """Of effects of several kinds of component, those of the heads, by the heads' own names."""

    def only(each: Effects) -> Effects:
        rows = np.flatnonzero([component.kind == "head" for component in each.components])
        return replace(each.only(rows), named=None)

    return {title: only(each) for title, each in effects.items()}


def maps(effects: Kinds, *, note: str = "") -> Maps:
    """Mean effects of heads, or of groups of heads, as maps of layer by head, beside each other, with the
    prompts behind each cell; and how many those are where they are not the same number."""
    shown, several = [], len({each.task.n for each in effects.values()}) > 1
    for title, each in effects.items():
        n_layers, column = each.names["layer"].nunique(), str(each.names.columns[-1])
        one = head_map(title or "all prompts", each.mean(), n_layers, each.unit)
        samples = each.values.reshape(n_layers, -1, each.task.n)
        n = f"n = {each.task.n}" if several else ""
        shown.append(replace(one, column_axis=column, samples=samples, note=n))
    cells = cells_note(next(iter(effects.values())).task)
    return Maps(shown, note=f"{note} {cells}".strip())


def cells_note(task: Examples[Any]) -> str:
    """What the cells of a map are, which an interval is not of."""
    return f"Cells are means over {task.called}; tables weigh {task.groups} alike."


def by_layer(frame: pd.DataFrame, series: str, title: str) -> Chart:
    """One line for each value of a column, layer by layer, with intervals."""
    return pictures.grouped(title, frame, series, ("layer", "effect"), ("layer", "effect, logits"))


def held_out(selection: Selection, name: str, title: str, seed: int = 0) -> Table:
    """The chosen components on the half of the screen on which they were not chosen."""
    return Table(name, selection.frame(seed), title=title)


def halves(effects: Kinds, selection: Selection) -> Table:
    """How far each scoring of the components agrees between the two halves of the screen."""
    rows = []
    for name, each in effects.items():
        found = stats.halves(each.values, selection.discovery, len(selection))
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
        "discovery half; below 1 the choice overestimated them.",
    )


def agreement(effects: Kinds, top: int = 10) -> Table:
    """How alike different scorings rank the same components."""
    means = {name: each.mean() for name, each in effects.items()}
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


def splits(task: Task) -> Check:
    """That no template is in both halves, so that choice and estimate share nothing."""
    discovery = task.where(half="discovery")
    shared = np.intersect1d(task.clusters[discovery], task.clusters[~discovery])
    return Check("templates in both halves of the prompts", len(shared), 0)


def p_note(task: Examples[Any], *rows: int) -> str:
    """What a table of p-values over all prompts of the screen, corrected for so many rows, says; for each
    of these numbers of rows where they are of several families."""
    clusters = len(np.unique(task.clusters))
    together = " or ".join(map(str, dict.fromkeys(rows)))
    said = (
        f"Means of {clusters} templates' means; p inverts the interval, p_corrected is for "
        f"{together} rows together"
    )
    if clusters < LEAST_CLUSTERS:
        return f"{said}. So few templates make long intervals: more prompts (--n) help."
    return f"{said}."


def of_writers(
    writers: Sequence[Component],
    values: Mapping[str, Float[ndarray, " component"] | Float[ndarray, "component example"]],
    title: str,
    *,
    note: str = "",
) -> list[Maps | Chart]:
    """A map of the heads and bars of the MLPs, of one number a writer, or one for each prompt, under each
    name; the `title` says what they are of a `{}`."""
    heads, mlps = (
        [row for row, each in enumerate(writers) if each.kind == kind] for kind in ("head", "mlp")
    )
    layers = sorted({each.layer for each in writers if each.layer is not None})

    def shown(name: str, each: ndarray) -> Heatmap:
        if each.ndim == 1:
            return head_map(name, each[heads], len(layers), "logits")
        samples = each[heads].reshape(len(layers), -1, each.shape[-1])
        plain = head_map(name, each[heads].mean(-1), len(layers), "logits")
        return replace(plain, samples=samples)

    maps = [shown(name, each) for name, each in values.items()]
    found: list[Maps | Chart] = [Maps(maps, title=title.format("head"), note=note)]
    if mlps:
        means = {name: each if each.ndim == 1 else each.mean(-1) for name, each in values.items()}
        series = [Series(name, layers, each[mlps]) for name, each in means.items()]
        found.append(Chart(title.format("MLP"), "bar", series, "layer", "logits"))
    return found
