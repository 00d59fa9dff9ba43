"""What would the model say if it stopped after each layer?

Method  The stream that each layer receives, and the last, through final norm and unembedding.
Units   Nats, gains in logits of answer minus wrong; ranks begin at 1, the most likely token. KL is from the
        model's own distribution to the lensed one, Σ p log(p / p_lens).
Source  nostalgebraist 2020, Interpreting GPT: the logit lens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites, stats
from interp.effects.test import without_interval
from interp.methods.direct import readout
from interp.metrics import LogitDifference
from interp.sites import Site
from interp.stats import Estimate
from interp.stats.verdict import LEAST_CONFIRMING
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, places, whole
from interp.transformer import Run, Transformer
from interp.transformer.packing import packed

# Rows unembedded at once: some 100 MB of logits with 50,000 tokens.
_ROWS = 512


@dataclass(frozen=True, slots=True)
class Lens:
    """What the lens shows of every entry, `[layer batch pos]`: entry l is the stream after l layers, so the
    first is the embedding and the last is the model itself. NaN (and token −1) on padding. `log_prob` and
    `rank` are of the tokens asked for, one a label; `error` is the largest difference of the last entry's
    logits from the model's at each prompt's last token."""

    top: Int[Tensor, "layer batch pos"]
    log_prob: Float[Tensor, "label layer batch pos"]
    rank: Float[Tensor, "label layer batch pos"]
    kl: Float[Tensor, "layer batch pos"]
    entropy: Float[Tensor, "layer batch pos"]
    error: float


def entries(model: Transformer) -> list[Site]:
    """The residual streams that the lens reads, which a run must keep."""
    layers = range(model.config.n_layers)
    return [*(sites.resid_pre(layer) for layer in layers), sites.resid_post(layers[-1])]


@torch.no_grad()
def lens(model: Transformer, run: Run, tokens: Int[Tensor, "label batch"]) -> Lens:
    """The lens at every layer and position, for the tokens asked of each prompt.

    `run` has kept `entries` and has logits at each prompt's last token.

    Raises  UsageError if it has not kept them.

    >>> run = model.run("Mary and John", keep=entries(model), logits_at=-1)
    >>> lens(model, run, torch.tensor([[5], [7]])).top.shape  # an entry for the embedding and one a layer
    torch.Size([4, 1, 3])
    """
    real = run.real
    asked = tokens[:, :, None].expand(-1, -1, real.shape[1])[:, real].T
    with packed(model.embed if model.config.tied else model.unembed):
        streams = [run.cache[site][real] for site in entries(model)]
        final = [model.read_out(rows[None])[0].log_softmax(-1) for rows in streams[-1].split(_ROWS)]
        shown = [_entry(model, stream, asked, final) for stream in streams]
        last = torch.where(real, torch.arange(real.shape[1], device=real.device), 0).amax(-1)
        at_end = run.cache[entries(model)[-1]][torch.arange(len(real)), last]
        own = model.read_out(at_end[:, None])[:, 0]

    def spread(name: str) -> Tensor:
        """`[layer batch pos …]` from rows of real tokens."""
        rows = torch.stack([each[name] for each in shown])
        fill = torch.nan if rows.is_floating_point() else -1
        whole = rows.new_full((len(rows), *real.shape, *rows.shape[2:]), fill)
        whole[:, real] = rows
        return whole

    return Lens(
        top=spread("top"),
        log_prob=spread("log_prob").movedim(-1, 0),
        rank=spread("rank").movedim(-1, 0),
        kl=spread("kl"),
        entropy=spread("entropy"),
        error=float((own - run.logits[:, -1]).abs().max()),
    )


@torch.no_grad()
def logit_differences(model: Transformer, prompts: PromptBatch) -> Float[Tensor, "layer batch"]:
    """Answer minus wrong at the end of each prompt, in every entry, for which two tokens are unembedded."""
    run = prompts.run(model, keep=entries(model))
    examples = torch.arange(len(prompts.end), device=prompts.end.device)
    ends = torch.stack([run.cache[site][examples, prompts.end] for site in entries(model)])
    return readout(model, LogitDifference(prompts.answer, prompts.distractor))(ends)


def _entry(
    model: Transformer,
    stream: Float[Tensor, "pos d_model"],
    asked: Int[Tensor, "pos label"],
    final: list[Tensor],
) -> dict[str, Tensor]:
    parts = zip(stream.split(_ROWS), asked.split(_ROWS), final, strict=True)
    each = [_shown(model, *part) for part in parts]
    return {name: torch.cat([part[name] for part in each]) for name in each[0]}


def _shown(
    model: Transformer,
    rows: Float[Tensor, "pos d_model"],
    asked: Int[Tensor, "pos label"],
    final: Float[Tensor, "pos d_vocab"],
) -> dict[str, Tensor]:
    log_probs = model.read_out(rows[None])[0].log_softmax(-1)
    of_asked = log_probs.gather(-1, asked)
    above = [(log_probs > each[:, None]).sum(-1) for each in of_asked.unbind(-1)]
    own = final.exp()
    # A sum over the vocabulary of many small terms loses its last digits in single precision.
    kl = (own * (final - log_probs)).sum(-1, dtype=torch.float64)
    entropy = -(log_probs.exp() * log_probs).sum(-1, dtype=torch.float64)
    return {
        "top": log_probs.argmax(-1),
        "log_prob": of_asked,
        "rank": torch.stack(above, -1).to(of_asked) + 1,
        "kl": kl,
        "entropy": entropy,
    }


_THIRDS = 3


@dataclass(frozen=True, slots=True)
class Gains:
    """What answer − wrong gains over the last third of the layers, before, and there more than before."""

    late: Estimate
    early: Estimate
    more: Estimate


def gains(model: Transformer, task: Task, seed: int = 0) -> Gains | None:
    """The means over a task's prompts, on too few groups without intervals; None for fewer than 3 layers."""
    if model.config.n_layers < _THIRDS:
        return None
    apart = logit_differences(model, whole(task, model.device)).cpu().numpy()
    two_thirds = round((len(apart) - 1) * 2 / 3)
    late, early = apart[-1] - apart[two_thirds], apart[two_thirds] - apart[0]
    found = [
        stats.mean(each, task.clusters, task.items, seed=seed)
        for each in (late, early, late - early)
    ]
    enough = found[0].clusters >= LEAST_CONFIRMING
    return Gains(*(each if enough else without_interval(each) for each in found))


def by_layer(seen: Lens, prompts: PromptBatch, task: Task, seed: int = 0) -> pd.DataFrame:
    """One row a layer: what the lens shows at the last token of the answer, the distractor and a third token,
    in this order, over prompts; answer_top is a share of prompts."""
    rows = range(len(prompts))

    def at_end(values: Tensor) -> np.ndarray:
        found: np.ndarray = values[..., rows, prompts.end].double().cpu().numpy()
        return found

    log_prob, rank = at_end(seen.log_prob), at_end(seen.rank)
    frame = pd.DataFrame({"layer": range(log_prob.shape[1])})
    measured = {
        "answer_log_prob": log_prob[0],
        "wrong_log_prob": log_prob[1],
        "random_log_prob": log_prob[2],
        "logit_difference": log_prob[0] - log_prob[1],
        "kl": at_end(seen.kl),
        "entropy": at_end(seen.entropy),
    }
    for name, values in measured.items():
        each = stats.mean(values, task.clusters, seed=seed)
        frame[name], frame[f"{name}_low"], frame[f"{name}_high"] = each.value, each.low, each.high
    frame["answer_rank_median"] = np.median(rank[0], axis=-1)
    frame["answer_top"] = (rank[0] == 1).mean(-1)
    return frame.assign(n=len(prompts))


def first_kept(share: Sequence[float] | pd.Series) -> str:
    """The first layer from which on the share stays above a half, or `never`."""
    over = np.asarray(share) > 0.5
    if not over[-1]:
        return "never"
    below = np.flatnonzero(~over)
    return str(int(below[-1]) + 1 if len(below) else 0)


def of_prompt(
    model: Transformer, task: Task, tokens: Tensor, seen: Lens, example: int
) -> pd.DataFrame:
    """lens.csv: one prompt, one row a layer and position, labelled by its name in the task or its token."""
    words = model.to_str_tokens(tokens)
    names = {at[example]: name for name, at in places(task).items()}
    names |= {at: name for name, at in task.kept[example].positions.items()}
    n_layers, n_pos = len(seen.top), len(words)

    def cells(values: Tensor) -> np.ndarray:
        found: np.ndarray = values[:, example, :n_pos].double().cpu().numpy().ravel()
        return found

    top = seen.top[:, example, :n_pos].flatten().tolist()
    return pd.DataFrame(
        {
            "layer": np.repeat(np.arange(n_layers), n_pos),
            "position": np.tile(np.arange(n_pos), n_layers),
            "label": [names.get(at, word) for at, word in enumerate(words)] * n_layers,
            "top_token": [model.to_single_str_token(token) for token in top],
            "answer_rank": cells(seen.rank[0]).astype(np.int64),
            "answer_log_prob": cells(seen.log_prob[0]),
            "kl": cells(seen.kl),
            "entropy": cells(seen.entropy),
        }
    )
