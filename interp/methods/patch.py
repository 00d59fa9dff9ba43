"""Where does the difference between two runs sit? Put one run's activation into the other and see.

Method  Denoising starts from the corrupted run and restores an activation of the clean one; noising
        starts from the clean run and puts in the corrupted one's. At one layer, the patch covers all
        positions or one, and the whole site or one head.
Units   Logits of answer minus wrong, patched minus unpatched. The share of the gap is a ratio of
        means over prompts, mean(patched − unpatched) / mean(source − unpatched): for denoising it is
        called recovery.
Source  Meng et al. 2022, Locating and Editing Factual Associations, arXiv:2202.05262; Heimersheim &
        Nanda 2024, How to Use and Interpret Activation Patching, arXiv:2404.15255.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Union

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp import edits, sites, stats
from interp.cache import Cache
from interp.components import Component, Slice
from interp.edits import Edit
from interp.effects import Effects
from interp.engine import plan, sweep
from interp.methods.direct import readout
from interp.methods.measured import Measure, counts, read_off_the_stream, value
from interp.methods.moves import Direction
from interp.metrics import LogitDifference, Metric, logit_difference
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, aligned, gathered
from interp.transformer import Transformer
from interp.transformer.packing import packed


@dataclass(frozen=True, slots=True)
class At:
    """A component or a slice of a site, at one position: a named one (`FIRST` is 0) or a number."""

    what: Component | Slice
    position: str | int

    def columns(self) -> dict[str, Any]:
        """What begins its row of a table."""
        return {**self.what.columns(), "label": self.position}


# What is taken from the other run, at all positions or at one.
Patch = Union[Component, Slice, At]


@dataclass(frozen=True)
class Patched:
    """The effect of each patch on each prompt, and the metric (the logit difference) without any."""

    effects: Effects
    base: Float[np.ndarray, " example"]
    source: Float[np.ndarray, " example"]
    metric: Measure = logit_difference

    @property
    def patches(self) -> tuple[Patch, ...]:
        """What each row of the effects is of."""
        return tuple(self.effects.components)

    @property
    def gap(self) -> Float[np.ndarray, " example"]:
        """What there is to move: source minus base."""
        return self.source - self.base

    @property
    def recovery(self) -> Float[np.ndarray, " component"]:
        """The share of the gap that each patch moves: a ratio of means over prompts."""
        shares: np.ndarray = self.effects.mean() / self.gap.mean()
        return shares

    def only(self, rows: Sequence[int] | Int[np.ndarray, " label"] | slice) -> "Patched":
        """The same for some of the patches."""
        return replace(self, effects=self.effects.only(rows))

    def where(self, prompts: Bool[np.ndarray, " example"]) -> "Patched":
        """The same on some of the prompts."""
        base, source = self.base[prompts], self.source[prompts]
        return replace(self, effects=self.effects.where(prompts), base=base, source=source)

    def by_variant(self) -> "dict[str, Patched]":
        """The same for the prompts of each variant, as `Effects.by_variant` has them."""
        task = self.effects.task
        return {name: self.where(task.where(order=name)) for name in self.effects.by_variant()}

    def frame(self, seed: int = 0) -> pd.DataFrame:
        """names, effect, ci_low, ci_high, p_corrected (for all rows), and recovery with its interval."""
        values, clusters = self.effects.values, self.effects.task.clusters
        share = stats.ratio_of_means(values, self.gap, clusters, seed=seed)
        return self.effects.frame(seed).assign(
            recovery=share.value, recovery_low=share.low, recovery_high=share.high
        )


@torch.no_grad()
def patch(
    model: Transformer,
    task: Task,
    patches: Sequence[Patch],
    direction: Direction = "denoise",
    *,
    metric: Measure = logit_difference,
) -> Patched:
    """Every patch by itself, on every kept prompt. `metric` makes the metric of each batch.

    Raises  UsageError for a position that some prompt, or a component that the model does not have.

    >>> done = patch(model, task, [components.Head(1, 2), components.MLP(2)])
    >>> done.frame()["recovery"].shape
    (2,)
    """
    # Once for all batches: to pack the weights takes as long as a short run.
    with packed(model, unembedding=False):
        measured = [(batch, metric(batch)) for batch in aligned(task, model.device)]
        found = [
            (batch, _patched(model, batch, patches, direction, each)) for batch, each in measured
        ]
    base, source, *values = gathered(task, found)
    moved = np.reshape(values, (-1, task.n))
    effects = Effects(moved, list(patches), task, **counts(measured[0][1]))
    return Patched(effects, base, source, metric)


def patch_groups(
    model: Transformer,
    task: Task,
    groups: Mapping[str, Sequence[Patch]],
    direction: Direction = "denoise",
) -> dict[str, Patched]:
    """The patches of several groups in one sweep, group by group, as `patch` does each of them."""
    done = patch(model, task, [each for group in groups.values() for each in group], direction)
    ends = np.cumsum([len(group) for group in groups.values()])
    return {
        name: done.only(slice(end - len(group), end))
        for (name, group), end in zip(groups.items(), ends, strict=True)
    }


def _patched(
    model: Transformer,
    batch: PromptBatch,
    patches: Sequence[Patch],
    direction: Direction,
    measure: Metric,
) -> Float[Tensor, "component batch"]:
    """The metric of the run patched into and of the source, then every patch's effect."""
    base, source = _base_and_source(batch, direction)
    differ = (base != source).any(0).nonzero()
    first = int(differ[0]) if model.config.causal and len(differ) else 0
    last = sites.resid_post(model.config.n_layers - 1)
    kept = {where.site for each in patches for where in _slices(each, model)} | {last}
    cache = model.run(source, keep=kept, logits_at=-1).cache
    interventions = [_edits(each, model, batch, cache, first) for each in patches]
    work = plan(model, base, interventions, measure)
    effects = sweep(model, base, interventions, measure, work).double()
    if isinstance(measure, LogitDifference) and read_off_the_stream(measure):
        read = readout(model, measure)
        values = [read(stream[:, -1]) for stream in (work.end, cache[last])]
    else:
        values = [value(model, measure, tokens, base=base) for tokens in (base, source)]
    return torch.cat([torch.stack(values), effects])


def _slices(each: Patch, model: Transformer) -> tuple[Slice, ...]:
    what = each.what if isinstance(each, At) else each
    return (what,) if isinstance(what, Slice) else what.slices(model)


def _edits(
    each: Patch, model: Transformer, batch: PromptBatch, cache: Cache, first: int
) -> list[Edit]:
    positions: list[int] | None
    if isinstance(each, At):
        positions = [position(each.position, batch)]
    else:
        # Before the first token that differs both runs are the same, and need not be run again.
        positions = list(range(first, batch.clean.shape[1])) if first else None
    return [
        edits.patch(where.site, cache, where.heads, positions, where.units)
        for where in _slices(each, model)
    ]


def position(at: str | int, batch: PromptBatch) -> int:
    """Where a named position is in the prompts of this batch, which are aligned.

    Raises  UsageError if they have no position of that name.
    """
    return at if isinstance(at, int) else int(batch.position(at)[0])


def n_heads_at(model: Transformer, kind: str) -> int:
    """How many heads this kind of site has: keys and values are shared by groups of heads."""
    return model.config.n_kv_heads if kind in ("k", "v") else model.config.n_heads


def _base_and_source(batch: PromptBatch, direction: Direction) -> tuple[Tensor, Tensor]:
    if direction == "denoise":
        return batch.corrupted, batch.clean
    return batch.clean, batch.corrupted


@torch.no_grad()
def naive_patch(
    model: Transformer,
    batch: PromptBatch,
    each: Patch,
    direction: Direction = "denoise",
    metric: Measure = logit_difference,
) -> Float[Tensor, " batch"]:
    """The effect of one patch by whole forward passes: what every sweep has to agree with."""
    base, source = _base_and_source(batch, direction)
    kept = [where.site for where in _slices(each, model)]
    cache = model.run(source, keep=kept, logits_at=-1).cache
    ours = _edits(each, model, batch, cache, 0)
    measure = metric(batch)
    return value(model, measure, base, ours) - value(model, measure, base)


@torch.no_grad()
def worst_error(
    model: Transformer, task: Task, done: Patched, direction: Direction, seed: int
) -> float:
    """The largest |sweep − whole forward pass| of some random patches on random prompts."""
    random = np.random.default_rng(seed)
    batches = aligned(task, model.device)
    batch = batches[int(random.integers(len(batches)))]
    worst = 0.0
    for row in random.integers(len(done.effects), size=3):
        each = done.effects.components[row]
        naive = naive_patch(model, batch, each, direction, done.metric).cpu().numpy()
        worst = max(worst, float(np.abs(naive - done.effects.values[row, batch.indices]).max()))
    return worst
