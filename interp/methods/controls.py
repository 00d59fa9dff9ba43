"""Chosen components on fresh prompts, beside changes of equal norm in other directions.

Method  A component's activation goes from its value in the base run to that in the other run of the
        pair: from clean to corrupted (noising, which is resample ablation) or from corrupted to clean
        (denoising). The same prompts then run with changes of equal norm in other directions
        (`interp.methods.moves`).
Units   Logits of answer minus wrong, edited minus base run.
Source  Zhang & Nanda 2023, Towards Best Practices of Activation Patching, arXiv:2309.16042 (corruptions
        that leave the distribution).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp import edits, sites, stats
from interp.components import Component, sites_of
from interp.edits import Edit
from interp.effects import Effects, Selection, Test
from interp.engine import sweep
from interp.errors import UsageError
from interp.methods.direct import change_written, readout
from interp.methods.measured import Measure, counts, read_off_the_stream, value
from interp.methods.moves import WAYS, Bank, Direction, Moves
from interp.methods.patch import position
from interp.metrics import Metric, logit_difference
from interp.stats.selection import matched
from interp.tasks import Task
from interp.tasks.base import task_of
from interp.tasks.batches import PromptBatch, aligned, by_length, gathered
from interp.transformer import Transformer
from interp.transformer.packing import packed

Values = Mapping[Any, Tensor]


@dataclass(frozen=True)
class Fresh:
    """The effect of each component on each fresh prompt, and those of the directional controls; `gap` is
    the metric of the run that activations are taken from, minus that of the base run (None of one run)."""

    effects: Effects
    controls: Mapping[str, Effects]
    gap: Float[np.ndarray, " example"] | None = None

    @property
    def recovery(self) -> Float[np.ndarray, " component"]:
        """The share of the gap that each component moves, a ratio of means of clusters' means.

        Raises  UsageError where there are no two runs, and so no gap.
        """
        if self.gap is None:
            raise UsageError("there is no gap to recover between readings of one run")
        clusters = self.effects.task.clusters
        moved, gap = (
            stats.cluster_means(each, clusters).mean(-1) for each in (self.effects.values, self.gap)
        )
        shares: np.ndarray = moved / gap
        return shares

    def __sub__(self, other: "Fresh") -> "Fresh":
        """What is left, of effects and controls alike, when those of the other are taken away."""
        controls = {name: each - other.controls[name] for name, each in self.controls.items()}
        return Fresh(self.effects - other.effects, controls, self.gap)


def beside_others(
    components: Sequence[Component], every: Sequence[Component], seed: int = 0
) -> list[Component]:
    """These components, and after them for each a random other one of its layer, where there is one."""
    rows = np.array([every.index(each) for each in components])
    layers = np.array([each.layer for each in every])
    return [*components, *(every[row] for row in matched(rows, layers, seed))]


@torch.no_grad()
def on_fresh_prompts(
    model: Transformer,
    fresh: Task,
    components: Sequence[Component],
    direction: Direction = "noise",
    *,
    at: str | None = None,
    metric: Measure = logit_difference,
    draws: int = 1,
    seed: int = 0,
) -> Fresh:
    """Every component's change and its controls, each control the mean of `draws` directions for every
    prompt; at all positions, or at a named one. `metric` makes the metric of each batch.

    Raises  UsageError for a position that some prompt does not have.
    """
    batches = by_length(fresh, model.device) if at is None else aligned(fresh, model.device)
    runs = [Moves(model, batch, sites_of(components, model), direction) for batch in batches]
    bank = Bank(runs)
    found, gaps, measure = [], [], None
    with packed(model, unembedding=False):
        for run in runs:
            where = None if at is None else [position(at, run.batch)]
            ways: list[Values] = [run.other]
            ways += [run.moved(bank, way, draw, seed) for way in WAYS for draw in range(draws)]
            interventions = [_edits(model, each, new, where) for new in ways for each in components]
            measure = metric(run.batch)
            found.append((run.batch, sweep(model, run.base_tokens, interventions, measure)))
            gaps.append((run.batch, _gap(model, run, measure)[None]))
    return _fresh(fresh, found, gaps, components, draws, measure)


def confirm(
    model: Transformer,
    selection: Selection,
    direction: Direction = "noise",
    *,
    metric: Measure = logit_difference,
    draws: int = 1,
    seed: int = 0,
) -> Test:
    """The chosen components of a screen, put to the test on its task's fresh prompts, by changes in the
    direction and by the metric of the screen: noising for resample ablation, denoising for patches of clean
    activations into corrupted prompts.

    Raises  UsageError for another metric than the screen's.

    >>> heads = components.heads(model)
    >>> chosen = methods.ablate.ablate(model, task, heads, ["resample"]).effects["resample"].select(2)
    >>> confirm(model, chosen).frame.shape[0]
    2
    """
    fresh, chosen = task_of(selection.screen.task.confirmation), selection.components
    done = on_fresh_prompts(model, fresh, chosen, direction, metric=metric, draws=draws, seed=seed)
    return selection.test(done.effects, done.controls, seed=seed)


@torch.no_grad()
def directly_on_fresh_prompts(
    model: Transformer,
    fresh: Task,
    components: Sequence[Component],
    *,
    draws: int = 1,
    seed: int = 0,
) -> Fresh:
    """The direct effects of the same noising changes on the logit difference, the only metric that has
    them: along the residual stream alone, the final norm computed again."""
    end = sites.resid_post(model.config.n_layers - 1)
    batches = by_length(fresh, model.device)
    runs = [Moves(model, batch, [*sites_of(components, model), end]) for batch in batches]
    bank, found = Bank(runs), []
    for run in runs:
        ways: list[Values] = [run.other]
        ways += [run.moved(bank, way, draw, seed) for way in WAYS for draw in range(draws)]
        changes = torch.stack(
            [change_written(model, each, run.base, new) for new in ways for each in components]
        )
        read, stream = readout(model, logit_difference(run.batch)), run.base[end][:, -1].double()
        found.append((run.batch, read.effect(stream, changes)))
    gaps = [(run.batch, run.gap[None]) for run in runs]
    return _fresh(fresh, found, gaps, components, draws)


def _gap(model: Transformer, run: Moves, metric: Metric) -> Float[Tensor, " batch"]:
    if read_off_the_stream(metric):
        return run.gap
    base, batch = run.base_tokens, run.batch
    other = batch.clean if base is batch.corrupted else batch.corrupted
    return value(model, metric, other, base=base) - value(model, metric, base)


def _fresh(
    fresh: Task,
    found: Sequence[tuple[PromptBatch, Float[Tensor, "intervention batch"]]],
    gaps: Sequence[tuple[PromptBatch, Float[Tensor, "intervention batch"]]],
    components: Sequence[Component],
    draws: int,
    metric: Metric | None = None,
) -> Fresh:
    size = len(components)
    each = gathered(fresh, found).reshape(1 + len(WAYS) * draws, size, fresh.n)
    drawn = each[1:].reshape(len(WAYS), draws, size, fresh.n).mean(1)
    gap = gathered(fresh, gaps)[0]
    own, *others = (
        Effects(values, components, fresh, **counts(metric)) for values in (each[0], *drawn)
    )
    return Fresh(own, dict(zip(WAYS.values(), others, strict=True)), gap)


def _edits(
    model: Transformer, component: Component, new: Values, positions: list[int] | None
) -> list[Edit]:
    made = [
        edits.patch(each.site, new, each.heads, positions, each.units)
        for each in component.slices(model)
    ]
    return [replace(edit, label=str(component)) for edit in made]
