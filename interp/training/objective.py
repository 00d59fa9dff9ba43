"""What training lowers: the loss of the next token, or that of a text's label."""

import math
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from interp.transformer import Transformer
from interp.transformer.classifying import Classifying

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
