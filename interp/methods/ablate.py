"""What does the model lose when a part of it is replaced by nothing, by a mean, or by another prompt's?

Method  A part's activation is replaced at all positions of the clean prompt. `zero` puts zeros; `mean` the
        mean over other corrupted prompts of the same template, position by position; `resample` what the
        part does on the paired corrupted prompt; a function of the clean activation and the batch what it
        returns. Direct effects are those on the logit difference alone.
Units   Logits of answer minus wrong, or the unit of another metric; ablated minus clean. Negative logits:
        the part helps.
Source  Wang et al. 2022, arXiv:2211.00593 (mean ablation over prompts of one template); Chan et al.
        2022, Causal Scrubbing (resample ablation).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Union

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp import edits, sites
from interp.components import Component, sites_of
from interp.edits import Edit
from interp.effects import Effects
from interp.engine import sweep
from interp.errors import UsageError
from interp.methods.direct import change_written, readout
from interp.methods.means import no_means, template_means
from interp.methods.measured import Measure, counts, read_off_the_stream, value
from interp.metrics import LogitDifference, Metric, logit_difference
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, by_length, gathered
from interp.transformer import Transformer
from interp.transformer.packing import packed

Named = Literal["zero", "mean", "resample"]
Kind = Union[Named, Callable[[Tensor, PromptBatch], Tensor]]
KINDS: tuple[Named, ...] = ("zero", "mean", "resample")
_WORDS = {
    "mean": "its mean over other corrupted prompts of the template",
    "resample": "its value on the paired corrupted prompt",
}


@dataclass(frozen=True)
class Ablation:
    """The effect of ablating each component on each kept prompt, in all and directly, by kind of
    ablation; `clean` is the metric before. `direct` is empty for metrics other than the logit difference."""

    effects: Mapping[Kind, Effects]
    direct: Mapping[Kind, Effects]
    clean: Float[np.ndarray, " example"]
    metric: Measure = logit_difference


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
        if kind not in self._under and callable(kind):
            self._under[kind] = {site: self._called(kind, site) for site in self.sites}
        elif kind not in self._under:
            if kind not in KINDS:
                raise UsageError(
                    f"a kind of ablation is {', '.join(KINDS)} or a function (activation, batch) -> "
                    f"activation, got {kind!r:.60}"
                )
            new = {
                "zero": lambda site: torch.zeros_like(self.clean[site]),
                "mean": self._mean,
                "resample": lambda site: self._corrupted[site],
            }[kind]
            self._under[kind] = {site: new(site) for site in self.sites}
        return self._under[kind]

    def _called(self, kind: Callable[[Tensor, PromptBatch], Tensor], site: Site) -> Tensor:
        clean = self.clean[site]
        new = kind(clean.clone(), self.batch)
        if not isinstance(new, Tensor) or new.shape != clean.shape:
            got = list(new.shape) if isinstance(new, Tensor) else type(new).__name__
            raise UsageError(
                f"{_name(kind)} must return an activation {list(clean.shape)} for {site}, got {got}"
            )
        return new.to(clean)

    def _mean(self, site: Site) -> Tensor:
        own = self._corrupted[site]
        return template_means(self.model, self._task, self.batch.prompts, site, own)


def kinds_of(task: Task) -> tuple[Named, ...]:
    """The ways of ablation that the task allows: `mean` only where it has corrupted prompts enough."""
    return tuple(kind for kind in KINDS if kind != "mean" or not no_means(task))


def edits_of(component: Component, kind: Kind, values: Values) -> list[Edit]:
    """The edits that ablate this component in the batch that the values are of."""
    slices = component.slices(values.model)
    if kind == "zero":
        return [edits.zero(each.site, heads=each.heads, units=each.units) for each in slices]
    new = values.under(kind)
    made = [edits.patch(each.site, new, heads=each.heads, units=each.units) for each in slices]
    return [replace(edit, label=f"{edit} by {_name(kind)}") for edit in made]


def _name(kind: Kind) -> str:
    return getattr(kind, "__name__", repr(kind)) if callable(kind) else _WORDS[kind]


@torch.no_grad()
def ablate(
    model: Transformer,
    task: Task,
    components: Sequence[Component],
    kinds: Sequence[Kind] | None = None,
    *,
    metric: Measure = logit_difference,
) -> Ablation:
    """Every component ablated in each of these ways, by default all that the task allows, on every kept
    prompt of the task. `metric` makes the metric of each batch.

    Raises  UsageError for a kind that is no name and no function that returns an activation.

    >>> done = ablate(model, task, components.heads(model), ["zero", "resample"])
    >>> done.effects["zero"].values.shape  # one row a head, one column a prompt
    (12, 8)
    """
    kinds = kinds_of(task) if kinds is None else kinds
    total, direct, clean = [], [], []
    measure: Metric | None = None
    # Once for all lengths: to pack the weights takes as long as a short run.
    with packed(model, unembedding=False):
        for batch in by_length(task, model.device):
            values = Values(model, task, batch, sites_of(components, model))
            interventions = [edits_of(each, kind, values) for kind in kinds for each in components]
            measure = metric(batch)
            total.append((batch, sweep(model, batch.clean, interventions, measure)))
            if read_off_the_stream(measure):
                directly = [_direct(model, components, kind, values) for kind in kinds]
                direct.append((batch, torch.cat(directly)))
            clean.append((batch, _before(model, values, measure)[None]))

    def by_kind(parts: list[tuple[PromptBatch, Tensor]]) -> dict[Kind, Effects]:
        each = gathered(task, parts).reshape(len(kinds), len(components), task.n)
        return {
            kind: Effects(one, components, task, **counts(measure))
            for kind, one in zip(kinds, each, strict=True)
        }

    directs = by_kind(direct) if direct else {}
    return Ablation(by_kind(total), directs, gathered(task, clean)[0], metric)


def _before(model: Transformer, values: Values, metric: Metric) -> Float[Tensor, " batch"]:
    if isinstance(metric, LogitDifference) and read_off_the_stream(metric):
        return readout(model, metric)(values.stream)
    return value(model, metric, values.batch.clean)


def _direct(
    model: Transformer, components: Sequence[Component], kind: Kind, values: Values
) -> Float[Tensor, "component batch"]:
    new = values.under(kind)
    changes = torch.stack([change_written(model, each, values.clean, new) for each in components])
    return readout(model, logit_difference(values.batch)).effect(values.stream, changes)


@torch.no_grad()
def naive_effect(
    model: Transformer,
    values: Values,
    component: Component,
    kind: Kind,
    metric: Measure = logit_difference,
) -> Float[Tensor, " batch"]:
    """The effect of one ablation by a whole forward pass: what every sweep has to agree with."""
    measure = metric(values.batch)
    return _ablated(model, values, component, kind, measure) - _before(model, values, measure)


def _ablated(
    model: Transformer, values: Values, component: Component, kind: Kind, metric: Metric
) -> Float[Tensor, " batch"]:
    return value(model, metric, values.batch.clean, edits_of(component, kind, values))


@torch.no_grad()
def worst_error(model: Transformer, task: Task, done: Ablation, seed: int) -> float:
    """The largest |sweep − whole forward pass| of a random component of each kind of ablation."""
    random = np.random.default_rng(seed)
    batches = by_length(task, model.device)
    batch = batches[int(random.integers(len(batches)))]
    rows = {kind: int(random.integers(len(each))) for kind, each in done.effects.items()}
    chosen = {kind: done.effects[kind].components[row] for kind, row in rows.items()}
    values = Values(model, task, batch, sites_of(chosen.values(), model))
    at, measure, worst = list(batch.indices), done.metric(batch), 0.0
    for kind, row in rows.items():
        naive = _ablated(model, values, chosen[kind], kind, measure).cpu().numpy()
        found = done.clean[at] + done.effects[kind].values[row, at]
        worst = max(worst, float(np.abs(naive - found).max()))
    return worst
