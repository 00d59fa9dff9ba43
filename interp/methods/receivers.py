"""Where a path can end: one input of one component, and the positions at which it is read."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from interp.components import MLP, Component, Head, KVHead, Logits
from interp.errors import UsageError
from interp.tasks.batches import PromptBatch
from interp.transformer import Transformer

Input = Literal["q", "k", "v", "mlp", "logits"]
_HAVE: dict[Input, tuple[type[Component], ...]] = {
    "q": (Head,),
    "k": (Head, KVHead),
    "v": (Head, KVHead),
    "mlp": (MLP,),
    "logits": (Logits,),
}


@dataclass(frozen=True, slots=True)
class Receiver:
    """One input of one component. A head reads a private copy of a changed k or v; that of a key/value
    head all its query heads read. `at` names the position at which the receiver reads the change (as a
    query, a neuron's input); None is every one.

    Raises  UsageError for an input that the component has not.
    """

    component: Component
    input: Input
    at: str | None = None

    def __post_init__(self) -> None:
        fits = isinstance(self.component, _HAVE.get(self.input, ()))
        if not fits or (self.input == "logits" and self.at is not None):
            raise UsageError(
                "a receiver is q of a Head, k or v of a Head or a KVHead, mlp of an MLP, or logits of "
                f"the Logits (which are read at END); got {self!r}"
            )

    @property
    def layer(self) -> int | None:
        return self.component.layer

    def __str__(self) -> str:
        return str(self.component)


def query_heads(model: Transformer, receiver: Receiver) -> list[int]:
    """The query heads that read what the receiver, a head or key/value head, reads."""
    (where,) = receiver.component.slices(model)
    return list(where.heads or ())


def read_at(receiver: Receiver, batch: PromptBatch) -> Int[Tensor, "batch label"]:
    """The positions at which the receiver reads a change."""
    n_examples, n_pos = batch.clean.shape
    every = torch.arange(n_pos, device=batch.clean.device).expand(n_examples, -1)
    if receiver.input == "logits":
        return every[:, -1:]
    if receiver.at is None:
        return every
    return batch.position(receiver.at)[:, None]
