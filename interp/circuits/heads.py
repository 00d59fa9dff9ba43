"""What every head does on the prompts of a task, in numbers: what it attends to, and what it writes.

Method  Attention is a share, from the last token to named positions, and from every token to the one before
        it. From a named position at which a token stands that came before, it is the attention to that
        earlier token (duplicate) and to the one after it (induction); both are also measured on random tokens
        that are repeated. Copying is what a head writes of the answer's earlier place in the prompt: how far
        it raises the logit of the token there, in standard deviations over the vocabulary.
Units   Shares of 1, means over prompts; standard deviations. NaN where prompts have nothing to measure at.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593; Olsson et al. 2022, In-context
        Learning and Induction Heads, arXiv:2209.11895; McDougall et al. 2023, Copy Suppression,
        arXiv:2310.04625.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.errors import NotApplicable
from interp.methods import induction, repetition
from interp.tasks import Task
from interp.tasks.base import Prompt
from interp.tasks.batches import PromptBatch, by_length, labels
from interp.transformer import Run, Transformer
from interp.transformer.contract import einsum

PerHead = Float[np.ndarray, " component"]
# From a query to its keys.
Looks = list[tuple[int, int]]
REPEATED = 16


@dataclass(frozen=True, eq=False)
class Heads:
    """`attention` of every head from END to each named position, and its `scores`: to_answer, to_wrong (the
    last place of the wrong answer), previous_token, duplicate_token, induction, the last three also as
    random_…, and copying."""

    attention: Mapping[str, PerHead]
    scores: Mapping[str, PerHead]

    def most(self, head: int) -> tuple[str, float]:
        """The named position to which this head attends most from END, and how much."""
        name = max(self.attention, key=lambda each: self.attention[each][head])
        return name, float(self.attention[name][head])


def places(prompt: Prompt, token: int | None) -> list[int]:
    """Where a token stands before END."""
    return [at for at, each in enumerate(prompt.clean_tokens[:-1]) if each == token]


def earlier(prompt: Prompt) -> Looks:
    """Named positions, the last one among them, at which a token stands that came before; and where."""
    tokens, found = prompt.clean_tokens, []
    for query in sorted({*prompt.positions.values(), len(tokens) - 1}):
        before = [at for at in range(query) if tokens[at] == tokens[query]]
        found += [(query, before[-1])] if before else []
    return found


def _answer(prompt: Prompt) -> Looks:
    """Not where it stands after the token at END: to attend there is induction."""
    tokens, end = prompt.clean_tokens, len(prompt.clean_tokens) - 1
    found = places(prompt, prompt.answer_token)
    return [(end, at) for at in found if not at or tokens[at - 1] != tokens[end]]


def _wrong(prompt: Prompt) -> Looks:
    return [(len(prompt.clean_tokens) - 1, at) for at in places(prompt, prompt.wrong_token)[-1:]]


def _previous(prompt: Prompt) -> Looks:
    return [(query, query - 1) for query in range(1, len(prompt.clean_tokens))]


def _induction(prompt: Prompt) -> Looks:
    return [(query, key + 1) for query, key in earlier(prompt) if key + 1 < query]


# Attention to the answer is to all its places together; the others are means over queries.
LOOKS: Mapping[str, Callable[[Prompt], Looks]] = {
    "to_answer": _answer,
    "to_wrong": _wrong,
    "previous_token": _previous,
    "duplicate_token": earlier,
    "induction": _induction,
}


@torch.no_grad()
def heads(model: Transformer, task: Task, seed: int = 0) -> Heads:
    """What every head of the model does on the kept prompts, and on random tokens that are repeated."""
    named, reads = labels(task), vocabulary(model)
    found: dict[str, list[Tensor]] = {name: [] for name in (*named, *LOOKS, "copying")}
    kinds = ("pattern", "v")
    for batch in by_length(task, model.device):
        run = model.run(batch.clean, keep=lambda site: site.kind in kinds, logits_at=-1)
        pattern = run.cache.stack("pattern")
        for name in named:
            ends = [[(len(each.clean_tokens) - 1, at)] for each, at in _at(batch, name)]
            found[name].append(_attended(pattern, ends))
        for name, looks in LOOKS.items():
            found[name].append(_attended(pattern, [looks(each) for each in batch.prompts]))
        found["copying"].append(_copied(model, run, batch, reads))
    flat = {name: _mean(torch.cat(each, -1)) for name, each in found.items()}
    scores = {name: flat[name] for name in (*LOOKS, "copying")}
    return Heads({name: flat[name] for name in named}, scores | _random(model, seed))


def _at(batch: PromptBatch, name: str) -> list[tuple[Prompt, int]]:
    return list(zip(batch.prompts, batch.position(name).tolist(), strict=True))


def _attended(
    pattern: Float[Tensor, "layer batch head query key"], looks: list[Looks]
) -> Float[Tensor, "layer head batch"]:
    """The attention along these pairs, added up for one query and averaged over queries."""
    weights = pattern.new_zeros(pattern.shape[1], *pattern.shape[3:])
    for row, each in enumerate(looks):
        for query, key in each:
            weights[row, query, key] = 1 / len({query for query, _ in each})
    read = "layer batch head query key, batch query key -> layer head batch"
    nothing = torch.tensor([not each for each in looks], device=pattern.device)
    return einsum(read, pattern, weights).masked_fill(nothing, torch.nan)


def _copied(
    model: Transformer, run: Run, batch: PromptBatch, reads: Vocabulary
) -> Float[Tensor, "layer head batch"]:
    keys = [places(each, each.answer_token) for each in batch.prompts]
    nothing = torch.tensor([not each for each in keys], device=batch.clean.device)
    first = torch.tensor([each[0] if each else 0 for each in keys], device=batch.clean.device)
    return raised(model, run, first, reads).masked_fill(nothing, torch.nan)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """How the logits read the stream, their mean over the vocabulary taken out, and how they vary over it."""

    matrix: Float[Tensor, "d_model d_vocab"]
    spread: Float[Tensor, "d_model d_model"]


def vocabulary(model: Transformer) -> Vocabulary:
    """This model's.

    Raises  NotApplicable for a model that writes other tokens than it reads.
    """
    config, matrix = model.config, model.unembed.matrix
    if config.d_vocab_out != config.d_vocab:
        raise NotApplicable(f"{model.name} writes other tokens than it reads, so no head can copy")
    if config.norm != "none":
        matrix = matrix * model.ln_final.w[:, None]
    if config.norm == "layernorm":
        matrix = matrix - matrix.mean(0)
    matrix = matrix - matrix.mean(-1, keepdim=True)
    return Vocabulary(matrix, matrix @ matrix.T / config.d_vocab)


def raised(
    model: Transformer, run: Run, at: Int[Tensor, " batch"], reads: Vocabulary
) -> Float[Tensor, "layer head batch"]:
    """How far each head, attending to this position of each prompt alone, raises the logit of the token
    there, in standard deviations over the vocabulary."""
    examples = torch.arange(len(at), device=at.device)
    own = reads.matrix[:, run.tokens[examples, at]].T
    layers = []
    for layer in range(model.config.n_layers):
        v = run.cache[sites.v(layer)][examples, at].repeat_interleave(model.config.group, 1)
        W_O = model.block(layer).attn.W_O
        wrote = einsum("batch head d_head, head d_head d_model -> head batch d_model", v, W_O)
        variance = (wrote * (wrote @ reads.spread)).sum(-1)
        layers.append((wrote * own).sum(-1) / variance.clamp(min=1e-30).sqrt())
    return torch.stack(layers)


def _mean(values: Float[Tensor, "layer head example"]) -> PerHead:
    """Over prompts that have it; NaN if none has."""
    found: np.ndarray = values.flatten(0, 1).nanmean(-1).double().cpu().numpy()
    return found


def _random(model: Transformer, seed: int) -> dict[str, PerHead]:
    length = min(REPEATED, repetition.longest(model))
    drawn = repetition.draw(model, length=length, copies=2, count=REPEATED, seed=seed)
    means = induction.head_scores(model, drawn).means()
    names = ("previous_token", "duplicate_token", "induction")
    return {f"random_{name}": means[name].ravel() for name in names}
