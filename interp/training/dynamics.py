"""What grows inside a model while it learns to continue repeated sequences.

At chosen steps the model is measured on sequences that no step read: its loss on both copies, every
head's scores, and how strongly earlier heads feed the keys of later ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.methods import composition, induction
from interp.methods.induction import Repetition
from interp.training.loop import optimizer, train
from interp.training.recipe import Recipe
from interp.training.repeats import Repeats
from interp.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Moment:
    """The model after so many steps. `first` and `second` are the losses, in nats per token, on both
    copies of each sequence (the first token left out); `composition` is that of earlier heads' OV with
    later heads' keys, `turned` that of random pairs with the stream turned between them."""

    step: int
    first: Float[Tensor, " example"]
    second: Float[Tensor, " example"]
    scores: dict[str, Float[Tensor, "layer head example"]]
    chance: dict[str, Float[Tensor, " layer"]]
    composition: Float[Tensor, "layer head layer head"]
    turned: Float[Tensor, " component"]


def probe(source: Repeats, count: int, seed: int) -> Repetition:
    """Sequences of half the context, twice after the beginning, no token twice in a sequence."""
    length = (source.n_ctx - 1) // 2
    generator = torch.Generator().manual_seed(seed)
    usual = torch.arange(source.first, source.size)
    drawn = [usual[torch.randperm(len(usual), generator=generator)[:length]] for _ in range(count)]
    once = torch.stack(drawn)
    begin = torch.full((count, 1), source.begin)
    return Repetition(torch.cat([begin, once, once], dim=1), 1, length, 2)


def measure(model: Transformer, of: Repetition, step: int) -> Moment:
    """The model as it is now."""
    scores, loss = induction.head_scores(model, of)
    # The loss has no column for the beginning; the first token of either copy is left out.
    first, second = loss[:, 1 : of.length].mean(-1), loss[:, of.length + 1 :].mean(-1)
    fed = composition.compositions(model, "K")
    return Moment(step, first, second, scores.values, scores.chance, fed.scores, fed.baseline)


def watch(
    model: Transformer, source: Repeats, recipe: Recipe, of: Repetition, steps: Collection[int]
) -> Iterator[Moment]:
    """Trains the model, and measures it before the first step and after each of `steps`."""
    model.eval()
    yield measure(model, of, 0)
    for step in train(model, source.batch, recipe, optimizer(model, recipe)):
        if step.number in steps:
            yield measure(model, of, step.number)
