"""What does the model lose when a part of it is replaced by nothing, by a mean, or by another prompt's?

Method  A part's activation is replaced at all positions of the clean prompt, and the change in the
        logit difference at END measured. `zero` puts zeros; `mean` puts the mean over other corrupted
        prompts of the same template, position by position (`interp.methods.means`); `resample` puts what
        the part does on the paired corrupted prompt.
Units   Logits of answer minus wrong, ablated minus clean. Negative: the part helps.
Source  Wang et al. 2022, arXiv:2211.00593 (mean ablation over prompts of one template); Chan et al.
        2022, Causal Scrubbing (resample ablation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp import edits, sites
from interp.components import Component, Slice, sites_of
from interp.edits import Edit
from interp.effects import Effects
from interp.engine import sweep
from interp.methods.direct import readout
from interp.methods.means import no_means, template_means
from interp.methods.writing import change_written
from interp.metrics import logit_difference
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, by_length, gathered
from interp.transformer import Transformer
from interp.transformer.project import packed

Kind = Literal["zero", "mean", "resample"]
KINDS: tuple[Kind, ...] = ("zero", "mean", "resample")
_WORDS = {
    "mean": "its mean over other corrupted prompts of the template",
    "resample": "its value on the paired corrupted prompt",
}


@dataclass(frozen=True)
class Ablation:
    """The effect of ablating each component on each kept prompt, in all and directly, by kind of
    ablation; `clean` is the logit difference before."""

    effects: Mapping[Kind, Effects]
    direct: Mapping[Kind, Effects]
    clean: Float[np.ndarray, " example"]


class Values:
    """What some sites hold on the clean prompts of a batch, and under each ablation."""

    def __init__(
        self, model: Transformer, task: Task, batch: PromptBatch, wanted: Sequence[Site]
    ) -> None:
        self.batch, self.model, self._task = batch, model, task
        self.stream_end = sites.resid_post(model.config.n_layers - 1)
        run = model.run(batch.clean, keep=[*wanted, self.stream_end], logits_at=-1)
        self.clean = run.cache
        self.sites = tuple(wanted)
        self._corrupted = model.run(batch.corrupted, keep=wanted, logits_at=-1).cache
        self._under: dict[Kind, dict[Site, Tensor]] = {}

    @property
    def stream(self) -> Float[Tensor, "batch d_model"]:
        """The clean residual stream that is read at END, in float64."""
        return self.clean[self.stream_end][:, -1].double()

    def under(self, kind: Kind) -> Mapping[Site, Tensor]:
        """What every site would hold if all of it were ablated."""
        if kind not in self._under:
            new = {
                "zero": lambda site: torch.zeros_like(self.clean[site]),
                "mean": self._mean,
                "resample": lambda site: self._corrupted[site],
            }[kind]
            self._under[kind] = {site: new(site) for site in self.sites}
        return self._under[kind]

    def _mean(self, site: Site) -> Tensor:
        own = self._corrupted[site]
        return template_means(self.model, self._task, self.batch.prompts, site, own)


def kinds_of(task: Task) -> tuple[Kind, ...]:
    """The ways of ablation that the task allows: `mean` only where it has corrupted prompts enough."""
    return tuple(kind for kind in KINDS if kind != "mean" or not no_means(task))


def edits_of(component: Component, kind: Kind, values: Values) -> list[Edit]:
    """The edits that ablate this component in the batch that the values are of."""
    return [_edit(each, kind, values) for each in component.slices(values.model)]


def _edit(where: Slice, kind: Kind, values: Values) -> Edit:
    if kind == "zero":
        return edits.zero(where.site, heads=where.heads, units=where.units)
    new = values.under(kind)
    edit = edits.patch(where.site, new, heads=where.heads, units=where.units)
    return replace(edit, label=f"{edit} by {_WORDS[kind]}")


@torch.no_grad()
def ablate(
    model: Transformer,
    task: Task,
    components: Sequence[Component],
    kinds: Sequence[Kind] | None = None,
) -> Ablation:
    """Every component ablated in each of these ways, by default all that the task allows, on every kept
    prompt of the task."""
    kinds = kinds_of(task) if kinds is None else kinds
    total, direct, clean = [], [], []
    # Once for all lengths: to pack the weights takes as long as a short run.
    with packed(model, unembedding=False):
        for batch in by_length(task, model.device):
            values = Values(model, task, batch, sites_of(components, model))
            interventions = [edits_of(each, kind, values) for kind in kinds for each in components]
            metric = logit_difference(batch)
            total.append((batch, sweep(model, batch.clean, interventions, metric)))
            directly = [_direct(model, components, kind, values) for kind in kinds]
            direct.append((batch, torch.cat(directly)))
            clean.append((batch, readout(model, metric)(values.stream)[None]))

    def by_kind(parts: list[tuple[PromptBatch, Tensor]]) -> dict[Kind, Effects]:
        each = gathered(task, parts).reshape(len(kinds), len(components), task.n)
        return {kind: Effects(one, components, task) for kind, one in zip(kinds, each, strict=True)}

    return Ablation(by_kind(total), by_kind(direct), gathered(task, clean)[0])


def _direct(
    model: Transformer, components: Sequence[Component], kind: Kind, values: Values
) -> Float[Tensor, "component batch"]:
    new = values.under(kind)
    changes = torch.stack([change_written(model, each, values.clean, new) for each in components])
    return readout(model, logit_difference(values.batch)).effect(values.stream, changes)


@torch.no_grad()
def naive_effect(
    model: Transformer, values: Values, component: Component, kind: Kind
) -> Float[Tensor, " batch"]:
    """The effect of one ablation by a whole forward pass: what every sweep has to agree with."""
    batch = values.batch
    run = model.run(batch.clean, edits=edits_of(component, kind, values), logits_at=-1)
    metric = logit_difference(batch)
    answer, wrong = run.logits[:, 0].double().gather(-1, metric.columns).unbind(-1)
    return answer - wrong - readout(model, metric)(values.stream)


@torch.no_grad()
def worst_error(model: Transformer, task: Task, done: Ablation, seed: int) -> float:
    """The largest |sweep − whole forward pass|: of each kind of ablation a random component, on random
    prompts of one length."""
    random = np.random.default_rng(seed)
    batches = by_length(task, model.device)
    batch = batches[int(random.integers(len(batches)))]
    rows = {kind: int(random.integers(len(each))) for kind, each in done.effects.items()}
    chosen = {kind: done.effects[kind].components[row] for kind, row in rows.items()}
    values = Values(model, task, batch, sites_of(chosen.values(), model))
    worst = 0.0
    for kind, row in rows.items():
        naive = naive_effect(model, values, chosen[kind], kind).cpu().numpy()
        found = done.effects[kind].values[row, batch.indices]
        worst = max(worst, float(np.abs(naive - found).max()))
    return worst
