"""Where heads look between named positions, and which earlier parts of the model make them look there.

Method  A score is the product of a query and a key, each of which is linear in the stream once the
        norm's scale is held (and that of q/k norm, where there is one). Softmax sees only differences
        of scores, so what is decomposed is the score of one key minus the mean score of all other
        keys: on the query's side over what was written at the query's position, on the key's side
        over what was written at the keys' positions.
Units   Attention in shares of 1; scores as they enter the softmax.
Source  Wang et al. 2022, arXiv:2211.00593 (named positions); Elhage et al. 2021, A Mathematical
        Framework for Transformer Circuits (the bilinear form).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from fancy_einsum import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.components import Component, Head
from interp.errors import UsageError
from interp.methods.decompose import at, needs, project
from interp.methods.norms import through
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, places, whole
from interp.transformer import Run, Transformer
from interp.transformer.attention import Attention
from interp.transformer.rotary import Angles, rotate


def between(
    pattern: Float[Tensor, "batch head query key"], places: Mapping[str, Sequence[int]]
) -> tuple[list[tuple[str, str]], Float[Tensor, "label head batch"]]:
    """Every (query, key) pair of named positions of which the key is visible in a causal model, and
    each head's attention from the one to the other in each prompt."""
    examples = torch.arange(len(pattern))
    pairs, found = [], []
    for query, asked_from in places.items():
        for key, looked_at in places.items():
            if any(k > q for q, k in zip(asked_from, looked_at, strict=True)):
                continue
            pairs.append((query, key))
            rows = pattern[examples, :, torch.tensor(asked_from), torch.tensor(looked_at)]
            found.append(rows.T)
    return pairs, torch.stack(found)


def patterns(run: Run, heads: Sequence[Head]) -> Float[Tensor, "batch head query key"]:
    """The patterns of these heads, which the run has kept."""
    return torch.stack([run.cache[sites.pattern(each.layer)][:, each.index] for each in heads], 1)


def even(model: Transformer, prompts: PromptBatch) -> Float[Tensor, "batch query key"]:
    """An even spread over all that each query of the first layer may attend to."""
    mask = model.surroundings(prompts.real, model.embed.W_E).mask(0)[:, 0].double()
    return (mask / mask.sum(-1, keepdim=True)).expand(len(prompts.real), -1, -1)


def from_end(
    pattern: Float[Tensor, "batch query key"],
    places: Mapping[str, Sequence[int]],
    keys: Sequence[str],
) -> Float[np.ndarray, " batch"]:
    """For every prompt the attention from END to all these named positions together, none counted twice."""
    total, seen = np.zeros(len(pattern)), np.zeros(pattern.shape[::2], dtype=bool)
    examples = np.arange(len(pattern))
    rows = pattern[examples, list(places["END"])].double().cpu().numpy()
    for key in keys:
        at_key = examples, np.array(places[key])
        total += rows[at_key] * ~seen[at_key]
        seen[at_key] = True
    return total


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """One head's score contrast, decomposed twice: over what was written at the query's position, and
    over what was written at the keys'. `query_constant` and `key_constant` are the biases' parts."""

    components: tuple[Component, ...]
    query_side: Float[Tensor, "component batch"]
    key_side: Float[Tensor, "component batch"]
    query_constant: Float[Tensor, " batch"]
    key_constant: Float[Tensor, " batch"]
    contrast: Float[Tensor, " batch"]

    @property
    def error(self) -> float:
        """How far either sum is from the contrast, over the largest contrast."""
        either = (
            (self.query_side.sum(0) + self.query_constant - self.contrast).abs().max(),
            (self.key_side.sum(0) + self.key_constant - self.contrast).abs().max(),
        )
        return float(max(either) / self.contrast.abs().max().clamp(min=1e-12))


def needed(model: Transformer, layer: int) -> list[Site]:
    """The sites that a run must keep for scores of this layer to be decomposed."""
    scale = [sites.ln1_scale(layer)] if model.config.norm != "none" else []
    kept = [*needs(model, sites.resid_pre(layer)), *scale]
    return [*kept, sites.q(layer), sites.k(layer), sites.scores(layer)]


@torch.no_grad()
def score_parts(
    model: Transformer,
    run: Run,
    head: Head,
    query: Int[Tensor, " batch"],
    key: Int[Tensor, " batch"],
) -> ScoreParts:
    """score(query, key) − mean score(query, every other visible key), by upstream component.

    Raises  UsageError if the run did not keep `needed`, or a query sees only one key, and for a head
            that the model does not have.
    """
    head.check(model)
    layer, number = head.layer, head.index
    kv_head = number // model.config.group
    attn, examples = model.block(layer).attn, torch.arange(len(query), device=query.device)
    scores = run.cache[sites.scores(layer)][examples, number, query]
    weights = _contrast(scores, key)
    contrast = (weights * scores.masked_fill(weights == 0, 0)).sum(-1)
    rotary = model.surroundings(run.real, run.cache[sites.embed()]).rotary
    q, k = run.cache[sites.q(layer)], run.cache[sites.k(layer)]
    placed_q = attn.place_queries(q, rotary)[examples, query, number]
    placed_k = attn.place_keys(k, rotary)[:, :, kv_head]

    # On the query's side the keys are one fixed vector, on the keys' side the query is.
    looked_for = einsum("batch pos, batch pos d_head -> batch d_head", weights, placed_k)
    onto_q = _unplaced(
        looked_for[:, None], _rows(rotary, query), _norm_of(attn, "q", q, query, number)
    )
    onto_q = onto_q[:, 0] / attn.scale
    side = at(run, query[:, None])
    onto, constant = _onto(model, side, layer, "Q", number, onto_q[:, None])
    from_query = project(model, side, sites.resid_pre(layer), onto)

    everywhere = weights[..., None] * placed_q[:, None] / attn.scale
    onto_k = _unplaced(everywhere, rotary, _norm_of(attn, "k", k, None, kv_head))
    onto, key_constant = _onto(model, run, layer, "K", kv_head, onto_k)
    from_keys = project(model, run, sites.resid_pre(layer), onto)
    return ScoreParts(
        from_query.components,
        from_query.parts[..., 0],
        from_keys.parts.sum(-1),
        constant[:, 0],
        key_constant.sum(-1),
        contrast,
    )


def _contrast(
    scores: Float[Tensor, "batch key"], key: Int[Tensor, " batch"]
) -> Float[Tensor, "batch key"]:
    """1 at the key, and minus one over their number at every other visible key."""
    visible = scores.isfinite()
    others = visible.sum(-1, keepdim=True) - 1
    if bool((others < 1).any()):
        raise UsageError("a query that sees only one key has nothing to prefer it to")
    weights = -visible.to(scores.dtype) / others
    return weights.scatter(-1, key[:, None], 1.0)


def _rows(rotary: Angles | None, position: Int[Tensor, " batch"]) -> Angles | None:
    """The angles at one position of every prompt."""
    if rotary is None:
        return None
    rows = torch.arange(len(position), device=position.device) * (len(rotary.cos) > 1)
    return Angles(rotary.cos[rows, position][:, None], rotary.sin[rows, position][:, None])


def _norm_of(
    attn: Attention, which: str, x: Tensor, position: Tensor | None, head: int
) -> Tensor | None:
    """What q/k norm multiplied each dimension by, `[batch pos d_head]`; None without such a norm."""
    if not attn.config.qk_norm:
        return None
    norm = attn.q_norm if which == "q" else attn.k_norm
    if position is not None:
        x = x[torch.arange(len(x), device=x.device), position][:, None]
    x = x[:, :, head]
    return norm.w / (x.square().mean(-1, keepdim=True) + norm.eps).sqrt()


def _unplaced(
    direction: Float[Tensor, "batch pos d_head"], rotary: Angles | None, norm: Tensor | None
) -> Float[Tensor, "batch pos d_head"]:
    """A direction on queries or keys as compared, as one on those before rotation and norm."""
    if rotary is not None:
        back = Angles(rotary.cos, -rotary.sin)
        direction = rotate(direction[:, :, None], back)[:, :, 0]
    return direction if norm is None else direction * norm


def _onto(
    model: Transformer,
    run: Run,
    layer: int,
    which: str,
    head: int,
    direction: Float[Tensor, "batch pos d_head"],
) -> tuple[Float[Tensor, "batch pos d_model"], Float[Tensor, "batch pos"]]:
    """A direction on queries or keys as one on the stream that the layer reads; the biases' part."""
    block = model.block(layer)
    W, b = getattr(block.attn, f"W_{which}")[head], getattr(block.attn, f"b_{which}")
    normed = einsum("batch pos d_head, d_model d_head -> batch pos d_model", direction, W)
    scale = torch.ones_like(normed[..., :1])
    if model.config.norm != "none":
        scale = run.cache[sites.ln1_scale(layer)].to(normed.dtype)
    onto, constant = through(block.ln1, normed, scale)
    return onto, constant if b is None else constant + (direction * b[head]).sum(-1)


@dataclass(frozen=True, slots=True)
class Preferred:
    """Where a head attends to most from END, how much, and what its score there is made of."""

    head: Head
    position: str
    attention: float
    parts: ScoreParts


@torch.no_grad()
def preferred(model: Transformer, task: Task, heads: Sequence[Head]) -> list[Preferred]:
    """Where each head after the first layer (before which nothing comes) attends to most; none where no
    position but the first and the last is named.

    >>> len(preferred(model, task, components.heads(model)[-2:]))
    2
    """
    named = {name: at for name, at in places(task).items() if name not in ("BOS", "END")}
    later = [head for head in heads if head.layer > 0] if named else []
    prompts = whole(task, model.device)
    kept = {site for head in later for site in needed(model, head.layer)}
    run = prompts.run(model, keep={*kept, *(sites.pattern(head.layer) for head in later)})
    found = []
    for head in later:
        pattern = run.cache[sites.pattern(head.layer)][range(task.n), head.index, prompts.end]
        shares = pattern.double().cpu().numpy()
        weight = {name: shares[np.arange(task.n), at].mean() for name, at in named.items()}
        place = max(weight, key=weight.__getitem__)
        key = prompts.end.new_tensor(named[place])
        parts = score_parts(model, run, head, prompts.end, key)
        found.append(Preferred(head, place, float(weight[place]), parts))
    return found
