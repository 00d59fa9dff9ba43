"""Training speed beside Hugging Face's GPT-2 of the same shape in a bare loop."""

from typing import Any

import torch
from torch import Tensor

from interp.bench.rows import Row
from interp.bench.subject import Subject
from interp.bench.timing import interleaved, peak_memory
from interp.training.loop import Recipe, optimizer, train
from interp.training.presets import fresh, shape

_BATCH, _N_CTX, _D_VOCAB, _ROUNDS = 4, 256, 4096, 5


def training(subject: Subject, n_prompts: int) -> list[Row]:
    """A step of ours beside one of theirs, 4 layers × 4 heads, d_model 128, the same AdamW; it has
    nothing to do with the subject's prompts, and is measured once."""
    if n_prompts == 1:
        return []
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(_D_VOCAB, (_BATCH, _N_CTX + 1), generator=generator)
    recipe = Recipe(steps=1 << 30, batch=_BATCH)
    config = shape("gpt2", layers=4, heads=4, width=128, d_vocab=_D_VOCAB, n_ctx=_N_CTX)
    model = fresh(config, seed=0)
    steps = train(model, lambda step, size: tokens, recipe, optimizer(model, recipe))
    with peak_memory() as memory:
        took = interleaved({"ours": lambda: next(steps), "theirs": _bare_loop(tokens)}, _ROUNDS)
    speeds = (f"{name} {_BATCH * _N_CTX / seconds:,.0f}" for name, seconds in took.items())
    said, peer = f"one step; tokens/s: {', '.join(speeds)}", "GPT2LMHeadModel, bare loop"
    return [Row.of("training", _BATCH, took["ours"], peer, took["theirs"], memory.bytes, said)]


def _bare_loop(tokens: Tensor) -> Any:
    """One step of Hugging Face's model: without dropout, which would keep it from fused attention."""
    from transformers import GPT2Config, GPT2LMHeadModel

    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=_D_VOCAB,
            n_positions=_N_CTX,
            n_embd=128,
            n_layer=4,
            n_head=4,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).train()
    adam = torch.optim.AdamW(theirs.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)
    read, following = tokens[:, :-1], tokens[:, 1:]

    def step() -> None:
        logits = theirs(read).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), following.flatten())
        adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        adam.step()

    return step
