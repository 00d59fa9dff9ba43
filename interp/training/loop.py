"""The training loop: the numbers that decide the result, what is lowered, what is trained, and the steps."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from interp.errors import InterpError, UsageError, brief, nearest
from interp.transformer import Transformer
from interp.transformer.classifying import Classifying

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """AdamW with a linear warm-up, then half a cosine down to a tenth of `rate`, and clipping.

    `precision` is that of the matrix products; weights and optimizer stay in float32.

    Raises  UsageError for a number that cannot be meant.
    """

    steps: int = 2000
    batch: int = 8
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.1
    clip: float = 1.0
    seed: int = 0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("warmup", 0), ("seed", 0)):
            number = getattr(self, name)
            most = 2**32 - 1 if name == "seed" else 10**9
            if (
                isinstance(number, bool)
                or not isinstance(number, int)
                or not least <= number <= most
            ):
                raise UsageError(
                    f"{name} must be a whole number from {least} to {most:,}, got {brief(number)}"
                )
        for name in ("rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.decay < 1:
            raise UsageError(f"decay must be in 0…1, got {self.decay}")
        if self.precision not in get_args(Precision):
            raise UsageError(
                f"precision must be {' or '.join(get_args(Precision))}, got {self.precision!r}"
            )

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * (0.1 + 0.9 * (1 + math.cos(math.pi * min(done, 1.0))) / 2)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class NextToken:
    """Every token after the first is predicted from those before it. `bytes_per_token` is that of
    the held-out text, where it is text."""

    bytes_per_token: float | None = None

    def losses(
        self, model: Transformer, rows: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch step"]:
        """The loss of every token, in nats."""
        read = rows[:, :-1]
        logits = model.compute(read, torch.ones_like(read, dtype=torch.bool))
        each = functional.cross_entropy(
            logits.flatten(0, 1).float(), rows[:, 1:].flatten(), reduction="none"
        )
        return each.unflatten(0, read.shape)

    def results(
        self, model: Transformer, rows: Int[Tensor, "batch pos"], loss: float
    ) -> dict[str, float | None]:
        """The held-out loss in bits per byte of text."""
        per_token = self.bytes_per_token
        bits = None if per_token is None else loss / math.log(2) / per_token
        return {"held_out_bits_per_byte": bits}


@dataclass(frozen=True, slots=True)
class Label:
    """A row is a label's number, a text's tokens, and −1 as padding; the label is predicted."""

    def losses(
        self, model: Transformer, rows: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch step"]:
        """The loss of every label, in nats."""
        logits = self._logits(model, rows).float()
        return functional.cross_entropy(logits, rows[:, 0], reduction="none")[:, None]

    def results(
        self, model: Transformer, rows: Int[Tensor, "batch pos"], loss: float
    ) -> dict[str, float | None]:
        """The share of held-out rows that get their label, and that of the label seen most."""
        parts = rows.split(_rows_at_once(rows))
        with torch.no_grad():
            chosen = torch.cat([self._logits(model, part).argmax(-1) for part in parts])
        return {
            "held_out_accuracy": float((chosen == rows[:, 0]).double().mean()),
            "held_out_lines": len(rows),
            "held_out_most_frequent": float(rows[:, 0].bincount().max()) / len(rows),
        }

    def _logits(
        self, model: Transformer, rows: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch label"]:
        tokens = rows[:, 1:]
        return cast(Classifying, model).label_logits(tokens.clamp(min=0), tokens >= 0)


Objective = NextToken | Label
NEXT_TOKEN = NextToken()


@torch.no_grad()
def mean_loss(
    model: Transformer, rows: Int[Tensor, "example pos"], objective: Objective = NEXT_TOKEN
) -> float:
    """The mean loss on these rows, in nats, in the model's own precision."""
    model.eval()
    parts = [
        objective.losses(model, part.to(model.device)).double().flatten()
        for part in rows.split(_rows_at_once(rows))
    ]
    return float(torch.cat(parts).mean())


def _rows_at_once(rows: Tensor) -> int:
    return max(1, _AT_ONCE // rows.shape[1])


def freeze(model: Transformer, names: Sequence[str]) -> int:
    """Keeps the parameters that are called so, or that lie below, from being trained; returns how
    many numbers are still trained.

    Raises  UsageError for a name that no parameter has, and where nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    for name in names:
        found = [it for it in parameters if it == name or it.startswith(f"{name}.")]
        if not found:
            raise UsageError(f"no weights are called {name!r}; {nearest(name, parameters)}")
        for each in found:
            parameters[each].requires_grad_(False)
    left = sum(it.numel() for it in parameters.values() if it.requires_grad)
    if not left:
        raise UsageError(f"nothing is left to train when {', '.join(names)} stay as they are")
    return left


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
