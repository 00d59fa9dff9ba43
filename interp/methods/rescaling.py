"""What direct effects are without a part of the final norm, or with its scale computed anew; and runs with
all scales frozen."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from interp import edits, sites
from interp.methods.attribute import Attribution, attribute, stream_end
from interp.methods.decompose import at, project
from interp.methods.direct import readout
from interp.metrics import LogitDifference, logit_difference
from interp.tasks.batches import PromptBatch
from interp.transformer import Run, Transformer

LeftOut = Literal["its scale", "its weight", "its centring"]


def attributions(model: Transformer, run: Run, prompts: PromptBatch) -> dict[str, Attribution]:
    """Direct effects without nothing, the final norm's scale, its weight and, of a LayerNorm, its centring.

    >>> from interp.methods.attribute import wanted
    >>> prompts = tasks.batches.whole(task)
    >>> found = attributions(model, prompts.run(model, keep=wanted(model)), prompts)
    >>> {part: each.error < 1e-3 for part, each in found.items()}
    {'nothing': True, 'its scale': False, 'its weight': False, 'its centring': False}
    """
    parts: list[LeftOut] = ["its scale", "its weight"]
    if model.config.norm == "layernorm":
        parts.append("its centring")
    return {
        "nothing": attribute(model, run, prompts),
        **{part: without(model, run, prompts, part) for part in parts},
    }


@torch.no_grad()
def without(model: Transformer, run: Run, prompts: PromptBatch, left_out: LeftOut) -> Attribution:
    """Direct effects as they come out without a part of the final norm (RMSNorm has no centring)."""
    right = attribute(model, run, prompts)
    end = at(run, prompts.end[:, None])
    W_U, norm = model.unembed.matrix, model.ln_final
    direction = (W_U[:, prompts.answer] - W_U[:, prompts.distractor]).T[:, None]
    if left_out != "its weight":
        direction = direction * norm.w
    if left_out != "its centring" and norm.kind == "layernorm":
        direction = direction - direction.mean(-1, keepdim=True)
    if left_out != "its scale":
        direction = direction / end.cache[sites.final_scale()].to(direction.dtype)
    parts = project(model, end, stream_end(model), direction).parts[..., 0]
    return Attribution(right.components, parts, right.constant, right.logit_difference)


@torch.no_grad()
def frozen_and_anew(
    model: Transformer, run: Run, prompts: PromptBatch
) -> tuple[Float[np.ndarray, "head batch"], Float[np.ndarray, "head batch"]]:
    """Every head's direct effect with the final norm's scale frozen, and what the logit difference loses
    without the head's write in the last stream, the scale computed again; layer by layer."""
    end = at(run, prompts.end[:, None])
    read = readout(model, LogitDifference(prompts.answer, prompts.distractor))
    stream = end.cache[stream_end(model)][:, 0]
    scale = read.scale(stream)
    frozen, anew = [], []
    for layer in range(model.config.n_layers):
        z, W_O = end.cache[sites.z(layer)][:, 0], model.block(layer).attn.W_O
        for head in range(model.config.n_heads):
            written = z[:, head] @ W_O[head]
            frozen.append(read.along(written) / scale)
            anew.append(-read.effect(stream, -written))
    return torch.stack(frozen).cpu().numpy(), torch.stack(anew).cpu().numpy()


def all_frozen(
    model: Transformer, run: Run, prompts: PromptBatch
) -> dict[str, Float[np.ndarray, " batch"]]:
    """The logit differences of the clean `run`, of the corrupted prompts, and of these with every norm's
    scale that the run kept frozen to it, by their names; and what freezing adds."""
    kept = [sites.parse(key) for key in run.cache]
    frozen = [edits.freeze(site, run.cache) for site in kept if site.kind.endswith("_scale")]
    runs = {
        "clean": run,
        "corrupted": prompts.run(model, corrupted=True),
        "corrupted, scales of clean": prompts.run(model, edits=frozen, corrupted=True),
    }
    apart = logit_difference(prompts).of
    found = {name: apart(run.logits[:, -1]).double().cpu().numpy() for name, run in runs.items()}
    _, own, other = found.values()
    return {**found, "what freezing adds": other - own}
