"""What a head writes as later heads read it: its share in where they attend, and in what they read.

Method  At the query: the score that a later head gives from END to the answer minus that to the first place
        of the wrong answer. At the key: the score from a token that came before to the one after its earlier
        place, minus those of all other keys. Each is a sum over everything written before, norms frozen, of
        which the sender has its part. At the value: the part of the values at the last place of the wrong
        answer, along them, that is the sender's.
Units   Shares of the whole, ratio of means over prompts, mean over later heads; 0 where the sender is not
        before the later head. NaN where no prompt has these places.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (Q-, K- and V-composition).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp import sites
from interp.circuits.heads import earlier, places
from interp.components import Component, Head
from interp.methods.attention import needed, score_parts
from interp.tasks import Task
from interp.tasks.base import Prompt
from interp.tasks.batches import by_length
from interp.transformer import Transformer
from interp.transformer.contract import einsum

Into = Literal["q", "k", "v"]
# Of each prompt the query and the keys, or the place, at which something is read.
Places = tuple[int, ...]


@torch.no_grad()
def composed(
    model: Transformer, task: Task, senders: Sequence[Head], later: Sequence[Head], into: Into
) -> Float[np.ndarray, " component"]:
    """The share of each sender in what this input of the later heads reads."""
    shares = np.full((len(later), len(senders)), np.nan)
    read = {"q": _at_queries, "k": _at_keys, "v": _at_values}[into]
    for row, head in enumerate(later):
        parts, wholes = [], []
        for batch in by_length(task, model.device):
            found = [_PLACES[into](each) for each in batch.prompts]
            if not (kept := [at for at, each in enumerate(found) if each]):
                continue
            where = torch.tensor([found[at] for at in kept], device=model.device)
            part, whole = read(model, batch.clean[kept], senders, head, where)
            parts.append(part)
            wholes.append(whole)
        if parts:
            mean = torch.cat(parts, -1).double().mean(-1).cpu().numpy()
            shares[row] = mean / float(torch.cat(wholes).double().mean())
    return shares.mean(0)


def _answer_and_wrong(prompt: Prompt) -> Places:
    good, bad = places(prompt, prompt.answer_token), places(prompt, prompt.wrong_token)
    return (len(prompt.clean_tokens) - 1, good[0], bad[0]) if good and bad else ()


def _after_the_earlier(prompt: Prompt) -> Places:
    found = [(query, key + 1) for query, key in earlier(prompt) if 0 < key + 1 < query]
    return found[-1] if found else ()


def _last_wrong(prompt: Prompt) -> Places:
    return tuple(places(prompt, prompt.wrong_token)[-1:])


_PLACES = {"q": _answer_and_wrong, "k": _after_the_earlier, "v": _last_wrong}
Read = tuple[Float[Tensor, "component batch"], Float[Tensor, " batch"]]


def _at_queries(
    model: Transformer, tokens: Tensor, senders: Sequence[Head], head: Head, where: Tensor
) -> Read:
    query, good, bad = where.T
    run = model.run(tokens, keep=needed(model, head.layer), logits_at=-1)
    one, other = (score_parts(model, run, head, query, key) for key in (good, bad))
    rows = {each: row for row, each in enumerate(one.components)}
    apart = one.query_side - other.query_side
    return _of(apart, rows, senders), one.contrast - other.contrast


def _at_keys(
    model: Transformer, tokens: Tensor, senders: Sequence[Head], head: Head, where: Tensor
) -> Read:
    query, key = where.T
    run = model.run(tokens, keep=needed(model, head.layer), logits_at=-1)
    found = score_parts(model, run, head, query, key)
    rows = {each: row for row, each in enumerate(found.components)}
    return _of(found.key_side, rows, senders), found.contrast


def _of(parts: Tensor, rows: Mapping[Component, int], senders: Sequence[Head]) -> Tensor:
    none = torch.zeros_like(parts[0])
    return torch.stack([parts[rows[each]] if each in rows else none for each in senders])


def _at_values(
    model: Transformer, tokens: Tensor, senders: Sequence[Head], head: Head, where: Tensor
) -> Read:
    layer, examples = head.layer, torch.arange(len(tokens), device=tokens.device)
    earlier_ = sorted({each.layer for each in senders if each.layer < layer})
    scale = [sites.ln1_scale(layer)] if model.config.norm != "none" else []
    keep = [sites.v(layer), *scale, *map(sites.z, earlier_)]
    run = model.run(tokens, keep=keep, logits_at=-1)
    block, at, index = model.block(layer), where[:, 0], head.index // model.config.group
    v = run.cache[sites.v(layer)][examples, at, index]
    parts = []
    for each in senders:
        if each.layer >= layer:
            parts.append(torch.zeros_like(v[:, 0]))
            continue
        z, W_O = run.cache[sites.z(each.layer)], model.block(each.layer).attn.W_O[each.index]
        wrote = einsum(
            "batch d_head, d_head d_model -> batch d_model", z[examples, at, each.index], W_O
        )
        if block.ln1.kind == "layernorm":
            wrote = wrote - wrote.mean(-1, keepdim=True)
        if block.ln1.kind != "none":
            wrote = wrote / run.cache[sites.ln1_scale(layer)][examples, at] * block.ln1.w
        read = einsum("batch d_model, d_model d_head -> batch d_head", wrote, block.attn.W_V[index])
        parts.append((read * v).sum(-1))
    return torch.stack(parts), (v * v).sum(-1)
