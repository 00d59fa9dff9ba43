"""The training loop: one step after another, each saying what it did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from interp.errors import InterpError
from interp.training.recipe import Recipe
from interp.transformer import Transformer
from interp.transformer.tap import Untapped

_TOKENS_AT_ONCE = 2048
# step, number of examples -> tokens [batch pos]
Batches = Callable[[int, int], Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did: `number` steps are done now. `loss` is that of the batch, in nats per token,
    before the step."""

    number: int
    loss: float
    rate: float
    gradient: float
    tokens: int
    seconds: float


def optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; weights decay, biases and norms do not."""
    parameters = [(name, it) for name, it in model.named_parameters() if it.requires_grad]
    weights = [it for name, it in parameters if _is_weight(name)]
    others = [it for name, it in parameters if not _is_weight(name)]
    groups = [
        {"params": weights, "weight_decay": recipe.decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.95), fused=True)


def _is_weight(name: str) -> bool:
    return name.rpartition(".")[2].startswith("W_")


def train(
    model: Transformer,
    batches: Batches,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    done: int = 0,
) -> Iterator[Step]:
    """Takes the steps from `done` on, and yields each when it is taken.

    Raises  InterpError when the loss is no finite number any more.
    """
    trained = [it for it in model.parameters() if it.requires_grad]
    for step in range(done, recipe.steps):
        began = time.perf_counter()
        tokens = batches(step, recipe.batch).to(model.device)
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step)
        model.train()
        with precision(model, recipe):
            loss = losses(model, tokens).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        gradient = nn.utils.clip_grad_norm_(trained, recipe.clip)
        if not bool(gradient.isfinite()):
            raise InterpError(
                f"the loss at step {step} is {float(loss.detach()):.3g} and its gradient not finite; "
                "ask for a smaller --rate or a longer --warmup"
            )
        optimizer.step()
        model.eval()
        yield Step(
            step + 1,
            float(loss.detach()),
            recipe.rate_at(step),
            float(gradient),
            tokens[:, 1:].numel(),
            time.perf_counter() - began,
        )


def precision(model: Transformer, recipe: Recipe) -> AbstractContextManager[None]:
    """Inside, matrix products are done in the recipe's precision."""
    return torch.autocast(
        model.device.type, dtype=torch.bfloat16, enabled=recipe.precision == "bfloat16"
    )


def losses(model: Transformer, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch step"]:
    """The loss, in nats, of every token after the first given those before it."""
    read = tokens[:, :-1]
    logits = model.compute(read, torch.ones_like(read, dtype=torch.bool), Untapped())
    each = functional.cross_entropy(
        logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none"
    )
    return each.unflatten(0, read.shape)


@torch.no_grad()
def held_out_loss(model: Transformer, tokens: Int[Tensor, "example pos"]) -> float:
    """The mean loss on these tokens, in nats per token, in the model's own precision."""
    model.eval()
    size = max(1, _TOKENS_AT_ONCE // tokens.shape[1])
    parts = [losses(model, rows.to(model.device)).double().sum() for rows in tokens.split(size)]
    return float(torch.stack(parts).sum()) / tokens[:, 1:].numel()
