"""Which neurons push the logit of the right answer above that of the wrong one, and what are they?

Method  A neuron's direct effect is its activation times what its output vector adds to the logit
        difference, the final norm's scale held. What it reads shows in the tokens at which it is most
        active; what it writes, in the tokens whose logits its output vector raises and lowers.
Units   Logits of answer minus wrong; logits per unit of activation, before the final norm's scale.
Source  Geva et al. 2022, Transformer Feed-Forward Layers Build Predictions, arXiv:2203.14680.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from fancy_einsum import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp import ordinary, sites
from interp.components import Neuron, neurons
from interp.effects import Effects
from interp.errors import UsageError, named
from interp.linear import slopes
from interp.methods.ablate import Kind, Values
from interp.methods.attribute import reading
from interp.methods.decompose import at
from interp.metrics import logit_difference
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, by_length, gathered
from interp.transformer import Run, Transformer


@dataclass(frozen=True, slots=True)
class DirectEffects:
    """Each neuron's activation and direct effect at the end of each prompt."""

    activation: Float[Tensor, "layer neuron batch"]
    effect: Float[Tensor, "layer neuron batch"]

    def labelled(self, task: Task, unit: str = "logits") -> Effects:
        """The direct effects of all neurons on the prompts of this task, which they were measured on; the
        activations, if the unit is `activation`."""
        values = self.activation if unit == "activation" else self.effect
        n_layers, n_neurons, _ = values.shape
        every = [Neuron(layer, unit) for layer in range(n_layers) for unit in range(n_neurons)]
        return Effects(values.flatten(0, 1).double().cpu().numpy(), every, task, unit)


@torch.no_grad()
def effects(model: Transformer, run: Run, prompts: PromptBatch) -> DirectEffects:
    """Every neuron's direct effect, from a run that kept mlp_post and the final norm's scale.

    >>> prompts = tasks.batches.whole(task)
    >>> effects(model, prompts.run(model, keep=kept(model)), prompts).effect.shape
    torch.Size([3, 72, 8])
    """
    end = at(run, prompts.end[:, None])
    read = reading(model, end, prompts.answer[:, None], prompts.distractor[:, None]).direction[:, 0]
    activation = end.cache.stack("mlp_post")[:, :, 0]
    onto = torch.stack(
        [
            einsum("neuron d_model, batch d_model -> batch neuron", block.mlp.W_out, read)
            for block in map(model.block, range(model.config.n_layers))
        ]
    )
    effect = activation * onto
    return DirectEffects(activation.movedim(1, -1), effect.movedim(1, -1))


@dataclass(frozen=True, slots=True)
class Peak:
    """One of the places where a neuron is most active: which text, which token, how active."""

    example: int
    position: int
    activation: float


@torch.no_grad()
def peaks(
    model: Transformer, texts: Sequence[Sequence[int]], neurons: Sequence[Neuron], top: int
) -> list[list[Peak]]:
    """For each neuron the `top` tokens of these texts at which its activation is largest in its own
    direction: the most negative ones for a neuron that is mostly negative there."""
    for each in neurons:
        each.check(model)
    layers = {sites.mlp_post(each.layer) for each in neurons}
    columns: list[Tensor] = []
    where: list[tuple[int, int]] = []
    for start in range(0, len(texts), 8):
        some = [list(text) for text in texts[start : start + 8]]
        run = model.run(some, keep=layers, logits_at=-1)
        found = [run.cache[sites.mlp_post(each.layer)][..., each.index] for each in neurons]
        columns.append(torch.stack(found, -1)[run.real])
        rows, positions = run.real.nonzero(as_tuple=True)
        where += zip((rows + start).tolist(), positions.tolist(), strict=True)
    active = torch.cat(columns)
    chosen = []
    for values in active.unbind(-1):
        # The first position is a sink in many models, whose neurons say nothing about tokens.
        usable = torch.tensor([position > 0 for _, position in where])
        magnitude = values.abs().masked_fill(~usable, -1)
        best = magnitude.topk(min(top, int(usable.sum()))).indices.tolist()
        chosen.append([Peak(where[row][0], where[row][1], float(values[row])) for row in best])
    return chosen


def reads(
    model: Transformer,
    texts: Mapping[str, Sequence[Sequence[int]]],
    neurons: Sequence[Neuron],
    top: int,
    before: int = 6,
) -> pd.DataFrame:
    """layer, neuron, text, rank, token, activation, `before it` (the tokens up to it), example and position:
    the `top` tokens of each named collection of texts at which each neuron is most active."""
    rows = []
    for name, several in texts.items():
        found = peaks(model, several, neurons, top)
        for neuron, loudest in zip(neurons, found, strict=True):
            for rank, peak in enumerate(loudest, 1):
                ids = several[peak.example][max(1, peak.position - before) : peak.position + 1]
                words = model.to_str_tokens(torch.tensor(ids))
                named = {**neuron.columns(), "text": name, "rank": rank, "token": words[-1]}
                told = {"activation": peak.activation, "before it": "".join(words)}
                rows.append(named | told | {"example": peak.example, "position": peak.position})
    return pd.DataFrame(rows)


def writes(model: Transformer, neurons: Sequence[Neuron], top: int) -> pd.DataFrame:
    """layer, neuron, and the tokens whose logits an active neuron raises and lowers most."""
    rows = []
    for neuron in neurons:
        both = ("raised when active", "lowered when active")
        words = [
            " ".join(repr(model.to_single_str_token(token)) for token in ids.tolist())
            for ids in extremes(promoted(model, neuron), top)
        ]
        rows.append(neuron.columns() | dict(zip(both, words, strict=True)))
    return pd.DataFrame(rows)


@torch.no_grad()
def along(
    model: Transformer, tokens: Sequence[int], neuron: Neuron
) -> Float[np.ndarray, " example"]:
    """The neuron's activation at every token of one text."""
    site = sites.mlp_post(neuron.layer)
    cache = model.run([list(tokens)], keep=[site], logits_at=-1).cache
    active: np.ndarray = cache[site][0, :, neuron.index].double().cpu().numpy()
    return active


@torch.no_grad()
def promoted(model: Transformer, neuron: Neuron) -> Float[Tensor, " d_vocab"]:
    """What one unit of activation adds to each token's logit before the final norm's scale, less the mean.

    Raises  UsageError for a neuron that the model does not have.
    """
    neuron.check(model)
    direction = model.block(neuron.layer).mlp.W_out[neuron.index]
    if model.config.norm == "layernorm":
        direction = direction - direction.mean()
    if model.config.norm != "none":
        direction = direction * model.ln_final.w
    logits = direction @ model.unembed.matrix
    return logits - logits.mean()


def extremes(
    values: Float[Tensor, " d_vocab"], number: int
) -> tuple[Int[Tensor, " label"], Int[Tensor, " label"]]:
    """The tokens with the largest and with the smallest values, the most extreme first."""
    return values.topk(number).indices, (-values).topk(number).indices


def kept(model: Transformer) -> list[Site]:
    """The sites that `effects` needs."""
    final = [sites.final_scale()] if model.config.norm != "none" else []
    return [*(sites.mlp_post(layer) for layer in range(model.config.n_layers)), *final]


def neuron_effects(model: Transformer, task: Task, kind: Kind) -> Effects:
    """The effect of ablating each neuron on each kept prompt, layer by layer, estimated by one backward
    pass: the slope of the logit difference at its activation times the change there, over positions.

    Source  Nanda 2023, Attribution Patching; Syed et al. 2023, arXiv:2310.10348.

    >>> neuron_effects(model, task, "zero").values.shape
    (216, 8)
    """
    posts = [sites.mlp_post(layer) for layer in range(model.config.n_layers)]
    found = []
    for batch in by_length(task, model.device):
        values = Values(model, task, batch, posts)
        slope = slopes(model, batch.clean, logit_difference(batch), at=posts).slope
        new = values.under(kind)
        each = [(slope[site] * (new[site] - values.clean[site])).sum(1) for site in posts]
        rows = rearrange(torch.stack(each), "layer batch d_mlp -> (layer d_mlp) batch")
        found.append((batch, rows))
    return Effects(gathered(task, found), neurons(model), task)


MOST_BYTES = 64 * ordinary.MB


def natural_texts(path: str | None = None) -> list[str]:
    """The passages of a UTF-8 text file, separated by blank lines; without a path those that ship.

    Raises  UsageError for a file that cannot be read as text, is larger than 64 MB or holds no passage.
    """
    if path is None:
        text = (resources.files("interp.methods") / "data" / "passages.txt").read_text("utf-8")
    else:
        text = ordinary.text(Path(path), MOST_BYTES).replace("\r\n", "\n")
    found = [each.strip() for each in text.split("\n\n") if each.strip()]
    if not found:
        raise UsageError(f"expected passages separated by blank lines, {named(str(path))} has none")
    return found
