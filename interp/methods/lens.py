"""What would the model say if it stopped after each layer?

Method  The stream that each layer receives, and the last one, go through the final norm, with the
        stream's own statistics, and the unembedding.
Units   Nats; ranks begin at 1, the most likely token. KL is from the model's own distribution to the
        lensed one, Σ p log(p / p_lens).
Source  nostalgebraist 2020, Interpreting GPT: the logit lens.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.methods.direct import readout
from interp.metrics import LogitDifference
from interp.sites import Site
from interp.tasks.batches import PromptBatch
from interp.transformer import Run, Transformer
from interp.transformer.packing import packed

# Rows unembedded at once: some 100 MB of logits with 50,000 tokens.
_ROWS = 512


@dataclass(frozen=True, slots=True)
class Lens:
    """What the lens shows of every entry, `[layer batch pos]`: entry l is the stream after l layers,
    so the first is the embedding and the last is the model itself. NaN (and token −1) on padding.

    `log_prob` and `rank` are of the tokens asked for, one a label; `error` is the largest difference
    of the last entry's logits from the model's at each prompt's last token.
    """

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
        final = [_log_probs(model, rows) for rows in streams[-1].split(_ROWS)]
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
    """Answer minus wrong at the end of each prompt, in every entry: what two tokens need of the lens,
    whose log-probabilities differ by as much."""
    run = prompts.run(model, keep=entries(model))
    examples = torch.arange(len(prompts.end), device=prompts.end.device)
    ends = torch.stack([run.cache[site][examples, prompts.end] for site in entries(model)])
    return readout(model, LogitDifference(prompts.answer, prompts.distractor))(ends)


def _log_probs(model: Transformer, rows: Float[Tensor, "pos d_model"]) -> Tensor:
    logits = model.read_out(rows[None])[0]
    return logits.log_softmax(-1)


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
    log_probs = _log_probs(model, rows)
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
