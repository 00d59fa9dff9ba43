"""Which parts of the model push the logit of the right answer above that of the wrong one, directly?

Method  The stream before the final norm is the sum of what every part wrote. With the norm's scale
        held at its value, the logit difference reads that sum along one direction: each part adds its
        dot product with it. The final norm's bias and the unembedding's bias add a constant.
Units   Logits of answer minus wrong.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; Wang et al. 2022,
        arXiv:2211.00593 (direct effects on the logit difference).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from fancy_einsum import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.components import Component, Head
from interp.effects import Effects
from interp.methods.decompose import at, needs, project
from interp.methods.norms import through
from interp.metrics import logit_difference
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, places
from interp.transformer import Run, Transformer


@dataclass(frozen=True, slots=True)
class Reading:
    """What logit(answer) − logit(wrong) reads from the stream: `⟨stream, direction⟩ + constant`."""

    direction: Float[Tensor, "batch label d_model"]
    constant: Float[Tensor, "batch label"]


@dataclass(frozen=True, slots=True)
class Biases(Component):
    """The biases of one layer together; of no layer, those of the final norm and the unembedding."""

    layer: int | None = field()

    kind = "bias"

    def __str__(self) -> str:
        return self.kind if self.layer is None else f"L{self.layer} {self.kind}"


@dataclass(frozen=True, slots=True)
class Attribution:
    """What each component adds to the logit difference of each prompt. `constant` is the part of the final
    norm's bias and the unembedding's; `logit_difference` is the model's own."""

    components: tuple[Component, ...]
    contributions: Float[Tensor, "component batch"]
    constant: Float[Tensor, " batch"]
    logit_difference: Float[Tensor, " batch"]

    @property
    def error(self) -> float:
        """The largest |sum of the parts − logit difference| over prompts."""
        total = self.contributions.sum(0) + self.constant
        return float((total - self.logit_difference).abs().max())

    @property
    def scale(self) -> float:
        """How large the parts of a prompt are together, whatever their signs; the largest prompt's."""
        return float((self.contributions.abs().sum(0) + self.constant.abs()).max())

    def of(self, kind: str) -> Float[Tensor, "component batch"]:
        """The contributions of the components of one kind."""
        rows = [row for row, each in enumerate(self.components) if each.kind == kind]
        return self.contributions[rows]

    def heads(self, task: Task) -> Effects:
        """The direct effects of the heads on the prompts of this task, which they were measured on."""
        every = [each for each in self.components if each.kind == "head"]
        return Effects(self.of("head").double().cpu().numpy(), every, task)

    def effects(self, task: Task) -> Effects:
        """The same of all components, pooled, named by component, layer and head."""
        pooled = self.pooled()
        keys = [(each.kind, each.layer, each.index) for each in pooled]
        names = pd.DataFrame(keys, columns=["component", "layer", "head"])
        names = names.astype({"layer": "Int64", "head": "Int64"})
        return Effects(np.stack(list(pooled.values())), list(pooled), task, named=names)

    def pooled(self) -> dict[Component, Float[np.ndarray, " batch"]]:
        """Contributions by component: a layer's biases together, a constant as a bias of no layer."""
        effects: dict[Component, np.ndarray] = {}
        contributions = self.contributions.double().cpu().numpy()
        for each, effect in zip(self.components, contributions, strict=True):
            pool = Biases(each.layer) if each.kind.endswith("_bias") else each
            effects[pool] = effects.get(pool, 0) + effect
        constant = self.constant.double().cpu().numpy()
        return effects | ({Biases(None): constant} if constant.any() else {})


def stream_end(model: Transformer) -> Site:
    """The stream that the final norm reads."""
    return sites.resid_post(model.config.n_layers - 1)


def wanted(model: Transformer) -> list[Site]:
    """The sites that a run must keep to be attributed."""
    final = [sites.final_scale()] if model.config.norm != "none" else []
    return [*needs(model, stream_end(model)), *final]


@torch.no_grad()
def reading(
    model: Transformer,
    run: Run,
    answer: Int[Tensor, "batch label"],
    wrong: Int[Tensor, "batch label"],
) -> Reading:
    """The direction at each position of the run (one, or as many as there are answers), the final
    norm's scale held at what it was there."""
    W_U, b_U = model.unembed.matrix, model.unembed.bias
    apart = (W_U[:, answer] - W_U[:, wrong]).movedim(0, -1)
    scale = torch.ones_like(apart[..., :1])
    if model.config.norm != "none":
        scale = run.cache[sites.final_scale()].to(apart.dtype).expand_as(scale)
    direction, constant = through(model.ln_final, apart, scale)
    if b_U is not None:
        constant = constant + b_U[answer] - b_U[wrong]
    return Reading(direction, constant)


@torch.no_grad()
def attribute(model: Transformer, run: Run, prompts: PromptBatch) -> Attribution:
    """Every component's direct effect on the logit difference, from a run that kept `wanted`.

    Raises  UsageError if it did not.

    >>> prompts = tasks.batches.whole(task)
    >>> run = prompts.run(model, keep=wanted(model))
    >>> attribute(model, run, prompts).of("head").shape
    torch.Size([12, 8])
    """
    end = at(run, prompts.end[:, None])
    read = reading(model, end, prompts.answer[:, None], prompts.distractor[:, None])
    found = project(model, end, stream_end(model), read.direction)
    apart = logit_difference(prompts).of(run.logits[:, -1])
    return Attribution(found.components, found.parts[..., 0], read.constant[:, 0], apart)


@torch.no_grad()
def by_source(
    model: Transformer, run: Run, prompts: PromptBatch, head: Head
) -> Float[Tensor, "batch pos"]:
    """What this head brings to the logit difference from each position that it attends to, from a run
    that kept its pattern and v too: a head's z is the sum of the values that it attends to.

    Raises  UsageError for a head that the model does not have.
    """
    head.check(model)
    end = at(run, prompts.end[:, None])
    read = reading(model, end, prompts.answer[:, None], prompts.distractor[:, None]).direction[:, 0]
    examples = torch.arange(len(read), device=read.device)
    pattern = run.cache[sites.pattern(head.layer)][examples, head.index, prompts.end]
    v = run.cache[sites.v(head.layer)][:, :, head.index // model.config.group]
    W_O = model.block(head.layer).attn.W_O[head.index]
    onto = einsum("d_head d_model, batch d_model -> batch d_head", W_O, read)
    return pattern * einsum("batch pos d_head, batch d_head -> batch pos", v, onto)


def source_sites(model: Transformer) -> list[Site]:
    """The sites that `by_source` needs beside `wanted`."""
    layers = range(model.config.n_layers)
    return [site(layer) for layer in layers for site in (sites.pattern, sites.v)]


def by_place(
    model: Transformer, run: Run, prompts: PromptBatch, heads: Sequence[Head], task: Task
) -> Effects:
    """What each head brings from each named position, and all others (`elsewhere`), head by head."""
    named = places(task)
    values = []
    for head in heads:
        source = by_source(model, run, prompts, head).double().cpu().numpy()
        rest = np.ones_like(source, dtype=bool)
        for where in named.values():
            rest[np.arange(len(source)), where] = False
            values.append(source[np.arange(len(source)), where])
        values.append((source * rest).sum(-1))
    rows = [(head, name) for head in heads for name in (*named, "elsewhere")]
    names = pd.DataFrame([head.columns() | {"source": name} for head, name in rows])
    return Effects(np.stack(values), [head for head, _ in rows], task, named=names)
