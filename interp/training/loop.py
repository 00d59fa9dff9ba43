"""The training loop: one step after another, each saying what it did."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interp.errors import InterpError
from interp.training.objective import NEXT_TOKEN, Objective
from interp.training.recipe import Recipe
from interp.transformer import Transformer

# step, number of examples -> tokens [batch pos]
Batches = Callable[[int, int], Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did: `number` steps are done now. `loss` is that of the batch before the step, in nats
    per token or per label."""

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
    objective: Objective = NEXT_TOKEN,
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
            loss = objective.losses(model, tokens).mean()
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
            int((tokens[:, 1:] >= 0).sum()),
            time.perf_counter() - began,
        )


def precision(model: Transformer, recipe: Recipe) -> AbstractContextManager[None]:
    """Inside, matrix products are done in the recipe's precision."""
    return torch.autocast(
        model.device.type, dtype=torch.bfloat16, enabled=recipe.precision == "bfloat16"
    )
