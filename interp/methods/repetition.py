"""Random tokens that are repeated, and what a model gains by it.

Method  The loss on the second copy falls below that on the first only by matching earlier tokens.
Units   Loss in nats per token.
Source  Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import UsageError
from interp.metrics import Loss
from interp.tasks import Task
from interp.tasks.base import Prompt
from interp.tasks.batches import PromptBatch
from interp.tasks.reader import Reader
from interp.transformer import Run, Transformer
from interp.transformer.packing import packed

# Sequences run at once: their patterns and logits are what takes memory.
_BATCH = 4


@dataclass(frozen=True, eq=False)
class Gained(Loss):
    """How much less the second of two copies of `length` tokens, which begin at `start`, costs than the
    first; the first token of each is left out."""

    length: int = 2
    name: ClassVar[str] = "gained on the second copy"
    unit: ClassVar[str] = "nats per token"

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        each = self.each(logits, examples)
        first, second = each[:, : self.length - 1], each[:, self.length : 2 * self.length - 1]
        return first.mean(-1) - second.mean(-1)

    only = Loss.only


@dataclass(frozen=True, slots=True)
class Repetition:
    """Random tokens, `length` of them, repeated `copies` times after `begin` tokens of BOS."""

    tokens: Int[Tensor, "example pos"]
    begin: int
    length: int
    copies: int

    def gained(self, batch: PromptBatch) -> Gained:
        """What the model gains on the second copy, as the metric of a batch of such sequences."""
        return Gained(batch.clean, self.begin, length=self.length)

    def by_copy(
        self, losses: Float[Tensor, "example step"]
    ) -> tuple[Float[np.ndarray, "example label"], Float[np.ndarray, "example label"]]:
        """The losses of the first copy's tokens and of the second's, the first token of each left out."""
        each = losses[:, self.begin :].double().cpu().numpy()
        return each[:, : self.length - 1], each[:, self.length : 2 * self.length - 1]


def longest(model: Transformer) -> int:
    """How many random tokens that are not special, none twice, fit twice into the context."""
    reader = Reader(model.tokenizer)
    usual = len(set(range(reader.size)) - reader.special)
    return min(usual, (model.config.n_ctx - len(reader.begin([]))) // 2)


def draw(model: Transformer, *, length: int, copies: int, count: int, seed: int) -> Repetition:
    """`count` sequences of random tokens that are not special, none twice in a sequence.

    Raises  UsageError where the vocabulary or the context is too small.

    >>> draw(model, length=8, copies=2, count=4, seed=0).copies
    2
    """
    reader = Reader(model.tokenizer, model.bos_choice)
    usual = torch.tensor(sorted(set(range(reader.size)) - reader.special))
    begin = len(reader.begin([]))
    if len(usual) < length or begin + length * copies > model.config.n_ctx:
        raise UsageError(
            f"{length} random tokens, {copies} times, need as many usual tokens and a context of "
            f"{begin + length * copies}; {model.name} has {len(usual)} and {model.config.n_ctx}"
        )
    generator = torch.Generator().manual_seed(seed)
    drawn = [usual[torch.randperm(len(usual), generator=generator)[:length]] for _ in range(count)]
    bos = torch.tensor(reader.begin([]), dtype=torch.long).expand(count, -1)
    tokens = torch.cat([bos, *[torch.stack(drawn)] * copies], dim=1)
    return Repetition(tokens.to(model.device), begin, length, copies)


def as_task(model: Transformer, of: Repetition, other: Repetition) -> Task:
    """The sequences as a task's prompts; in the corrupted one the first copy is of the `other`'s tokens, so
    that nothing says how the second goes on. The answer is the last token, after the one before it."""
    reader, last = Reader(model.tokenizer, model.bos_choice), of.begin + of.length
    prompts, both = [], zip(of.tokens.tolist(), other.tokens.tolist(), strict=True)
    for row, (clean, first) in enumerate(both):
        corrupted = [*first[:last], *clean[last:]]
        prompts.append(
            Prompt(
                clean=reader.text(clean),
                corrupted=reader.text(corrupted),
                answer=reader.text(clean[-1:]),
                wrong=reader.text(clean[-2:-1]),
                clean_tokens=tuple(clean),
                corrupted_tokens=tuple(corrupted),
                answer_token=clean[-1],
                wrong_token=clean[-2],
                template="repeat",
                cluster=str(row),
                positions={"END": len(clean) - 1},
            )
        )
    question = "Does the model go on with a repeated sequence of random tokens as it went before?"
    return Task("repeated tokens", question, tuple(prompts), reader.bos)


def runs(
    model: Transformer, of: Repetition, keep: tuple[str, ...], logits_at: int | None = None
) -> Iterator[Run]:
    """The model on a few sequences at a time, keeping these kinds of sites of every layer."""
    with packed(model):
        for tokens in of.tokens.split(_BATCH):
            yield model.run(tokens, keep=lambda site: site.kind in keep, logits_at=logits_at)


@torch.no_grad()
def losses(model: Transformer, of: Repetition) -> Float[Tensor, "example step"]:
    """The loss on every token after the first."""
    found = []
    for run in runs(model, of, ()):
        examples = torch.arange(len(run.tokens), device=run.tokens.device)
        found.append(Loss(run.tokens).each(run.logits[:, :-1], examples))
    return torch.cat(found)
