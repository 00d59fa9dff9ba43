"""What does the model lose when a part of it is replaced by nothing, by a mean, or by another prompt's?

Method  A part's activation is replaced at all positions of the clean prompt, and the change in the
        logit difference at END measured. `zero` puts zeros; `mean` puts the mean over the corrupted
        prompts of the same template, position by position; `resample` puts what the part does on the
        paired corrupted prompt. As a control, `random` moves it as far as `mean` does at every position,
        in a direction drawn anew for every prompt and position.
Units   Logits of answer minus wrong, ablated minus clean. Negative: the part helps.
Source  Wang et al. 2022, arXiv:2211.00593 (mean ablation over prompts of one template); Chan et al.
        2022, Causal Scrubbing (resample ablation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp import edits, sites
from interp.edits import Edit
from interp.engine import sweep
from interp.methods.batches import Batch, by_length, gathered
from interp.methods.direct import readout
from interp.methods.parts import Part, Place, moved, sites_of
from interp.sites import Site
from interp.tasks import Task
from interp.transformer import Transformer
from interp.transformer.project import packed

Kind = Literal["zero", "mean", "resample", "random"]
KINDS: tuple[Kind, ...] = ("zero", "mean", "resample")
_WORDS = {
    "random": "a random change as long as that to its mean",
    "mean": "its mean over the corrupted prompts of the template",
    "resample": "its value on the paired corrupted prompt",
}


@dataclass(frozen=True)
class Ablation:
    """The effect of ablating each part on each kept prompt, in all and directly, by kind of ablation;
    `clean` is the logit difference before."""

    parts: tuple[Part, ...]
    effects: Mapping[Kind, Float[np.ndarray, "component example"]]
    direct: Mapping[Kind, Float[np.ndarray, "component example"]]
    clean: Float[np.ndarray, " example"]


class Values:
    """What some sites hold on the clean prompts of a batch, and under each ablation."""

    def __init__(
        self, model: Transformer, batch: Batch, wanted: Sequence[Site], seed: int = 0
    ) -> None:
        self.batch, self.seed = batch, seed
        self.stream_end = sites.resid_post(model.config.n_layers - 1)
        run = model.run(batch.clean, keep=[*wanted, self.stream_end], logits_at=-1)
        self.clean = run.cache
        self.sites = tuple(wanted)
        self._corrupted = model.run(batch.corrupted, keep=wanted, logits_at=-1).cache
        self._under: dict[tuple[Kind, int], dict[Site, Tensor]] = {}

    @property
    def stream(self) -> Float[Tensor, "batch d_model"]:
        """The clean stream that is read at END, in float64."""
        return self.clean[self.stream_end][:, -1].double()

    def under(self, kind: Kind, draw: int = 0) -> Mapping[Site, Tensor]:
        """What every site would hold if all of it were ablated; of random changes this draw."""
        if (kind, draw) not in self._under:
            new = {
                "zero": lambda site: torch.zeros_like(self.clean[site]),
                "mean": lambda site: self.batch.template_means(self._corrupted[site]),
                "resample": lambda site: self._corrupted[site],
                "random": lambda site: self._random(site, draw),
            }[kind]
            self._under[kind, draw] = {site: new(site) for site in self.sites}
        return self._under[kind, draw]

    def _random(self, site: Site, draw: int) -> Tensor:
        """The clean activation, each of its vectors moved as far as its mean lies, in some direction."""
        clean = self.clean[site]
        change = self.under("mean")[site] - clean
        words = f"{self.seed} {draw} {self.batch.indices[0]} {site}".encode()
        generator = torch.Generator().manual_seed(int(sha256(words).hexdigest()[:15], 16))
        drawn = torch.randn(change.shape, generator=generator, dtype=torch.float64).to(change)
        longer = change.norm(dim=-1, keepdim=True) / drawn.norm(dim=-1, keepdim=True)
        return clean + drawn * longer


def edits_of(part: Part, kind: Kind, values: Values, draw: int = 0) -> list[Edit]:
    """The edits that ablate this part in the batch that the values are of."""
    return [_edit(place, kind, values, draw) for place in part.places]


def _edit(place: Place, kind: Kind, values: Values, draw: int) -> Edit:
    if kind == "zero":
        return edits.zero(place.site, heads=place.heads, units=place.units)
    new = values.under(kind, draw)
    edit = edits.patch(place.site, new, heads=place.heads, units=place.units)
    return replace(edit, label=f"{edit} by {_WORDS[kind]}")


@torch.no_grad()
def ablate(
    model: Transformer, task: Task, parts: Sequence[Part], kinds: Sequence[Kind] = KINDS
) -> Ablation:
    """Every part ablated in every way, on every kept prompt of the task."""
    total, direct, clean = [], [], []
    # Once for all lengths: to pack the weights takes as long as a short run.
    with packed(model, unembedding=False):
        for batch in by_length(task, model.device):
            values = Values(model, batch, sites_of(parts))
            interventions = [edits_of(part, kind, values) for kind in kinds for part in parts]
            total.append((batch, sweep(model, batch.clean, interventions, batch.metric)))
            each = [_direct(model, parts, kind, values) for kind in kinds]
            direct.append((batch, torch.cat(each)))
            clean.append((batch, readout(model, batch.metric)(values.stream)[None]))
    shape = (len(kinds), len(parts), task.n)
    return Ablation(
        tuple(parts),
        dict(zip(kinds, gathered(task, total).reshape(shape), strict=True)),
        dict(zip(kinds, gathered(task, direct).reshape(shape), strict=True)),
        gathered(task, clean)[0],
    )


@torch.no_grad()
def direct_effects(
    model: Transformer, task: Task, parts: Sequence[Part], kind: Kind
) -> Float[np.ndarray, "component example"]:
    """The direct effects alone, which need no forward pass for each part."""
    found = []
    for batch in by_length(task, model.device):
        values = Values(model, batch, sites_of(parts))
        found.append((batch, _direct(model, parts, kind, values)))
    return gathered(task, found)


def _direct(
    model: Transformer, parts: Sequence[Part], kind: Kind, values: Values
) -> Float[Tensor, "component batch"]:
    new = values.under(kind)
    changes = torch.stack([moved(model, part, values.clean, new) for part in parts])
    return readout(model, values.batch.metric).effect(values.stream, changes)


@torch.no_grad()
def random_changes(
    model: Transformer, task: Task, parts: Sequence[Part], draws: int, seed: int
) -> Float[np.ndarray, "component example"]:
    """The control: effects of changing each part as far as its mean lies, `draws` times each."""
    found = []
    with packed(model, unembedding=False):
        for batch in by_length(task, model.device):
            values = Values(model, batch, sites_of(parts), seed)
            interventions = [
                edits_of(part, "random", values, draw) for draw in range(draws) for part in parts
            ]
            found.append((batch, sweep(model, batch.clean, interventions, batch.metric)))
    return gathered(task, found)


@torch.no_grad()
def naive_effect(
    model: Transformer, values: Values, part: Part, kind: Kind
) -> Float[Tensor, " batch"]:
    """The effect of one ablation by a whole forward pass: what every sweep has to agree with."""
    batch = values.batch
    run = model.run(batch.clean, edits=edits_of(part, kind, values), logits_at=-1)
    answer, wrong = run.logits[:, 0].double().gather(-1, batch.metric.columns).unbind(-1)
    return answer - wrong - readout(model, batch.metric)(values.stream)


@torch.no_grad()
def worst_error(model: Transformer, task: Task, done: Ablation, seed: int) -> float:
    """The largest |sweep − whole forward pass|: of each kind of ablation a random part, on random
    prompts of one length."""
    random = np.random.default_rng(seed)
    batches = by_length(task, model.device)
    batch = batches[int(random.integers(len(batches)))]
    rows = {kind: int(random.integers(len(done.parts))) for kind in done.effects}
    values = Values(model, batch, sites_of(done.parts[row] for row in rows.values()))
    worst = 0.0
    for kind, row in rows.items():
        naive = naive_effect(model, values, done.parts[row], kind).cpu().numpy()
        worst = max(worst, float(np.abs(naive - done.effects[kind][row, batch.indices]).max()))
    return worst
