"""Logits to one number per prompt. Each metric says which positions and columns it reads, so that
nothing else has to be unembedded.

A metric belongs to a batch of prompts: it knows their answers. It is called with the logits of any
rows, `[example label d_vocab]` (label counts the positions read, the last axis the columns), and with
the number of the prompt that each row comes from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.errors import UsageError
from interp.transformer.run import LogitsAt, read_positions

if TYPE_CHECKING:
    from interp.tasks.batches import PromptBatch


class Metric(ABC):
    """One number per prompt from its logits.

    `unit` is what the number counts. `never_negative` says that its effects cannot be: a test of
    signs means nothing for them.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    never_negative: ClassVar[bool] = False

    @abstractmethod
    def positions(self, real: Bool[Tensor, "batch pos"]) -> Int[Tensor, "batch label"]:
        """The positions whose logits are read."""

    @property
    def columns(self) -> Int[Tensor, "batch component"] | None:
        """The tokens whose logits are read, for each prompt; None for the whole vocabulary."""
        return None

    @abstractmethod
    def __call__(
        self, logits: Float[Tensor, "example label d_vocab"], examples: Int[Tensor, " example"]
    ) -> Float[Tensor, " example"]:
        """The metric of every row."""

    def only(self, prompts: slice) -> Metric:
        """The same metric for these of its prompts alone. A class that says so itself can be measured
        on some prompts after the others, where memory does not hold them all.

        Raises  UsageError for a class that does not.
        """
        raise UsageError(f"{type(self).__name__} does not say what it is for some of its prompts")

    @property
    def divisible(self) -> bool:
        """Whether this class itself says what it is for some of its prompts."""
        return "only" in vars(type(self))

    def bound(self, base_logits: Float[Tensor, "batch label d_vocab"]) -> Metric:
        """This metric, told what the base run's logits were; most do not care.

        Raises  UsageError for answers that are no token of the model.
        """
        answers = getattr(self, "answer", None) if self.columns is None else self.columns
        n_tokens = base_logits.shape[-1]
        if answers is not None and not 0 <= int(answers.min()) <= int(answers.max()) < n_tokens:
            raise UsageError(
                f"answers must be tokens 0…{n_tokens - 1}, got {int(answers.min())}…{int(answers.max())}"
            )
        return self


@dataclass(frozen=True, eq=False)
class LogitDifference(Metric):
    """logit(answer) − logit(wrong) at one position, by default each prompt's last."""

    answer: Int[Tensor, " batch"]
    wrong: Int[Tensor, " batch"]
    at: LogitsAt = -1
    name: ClassVar[str] = "logit difference"
    unit: ClassVar[str] = "logits"

    def __post_init__(self) -> None:
        for name in ("answer", "wrong"):
            _check_answers(name, getattr(self, name))
        if self.answer.shape != self.wrong.shape:
            raise UsageError(
                f"answer and wrong are a token for each prompt, got {len(self.answer)} and "
                f"{len(self.wrong)}"
            )
        if len(same := (self.answer == self.wrong.to(self.answer.device)).nonzero()):
            prompt = int(same[0])
            raise UsageError(
                f"answer and wrong are the same token, {int(self.answer[prompt])}, in prompt "
                f"{prompt}: their difference is 0 whatever the model does. The tokenizer may put a BOS "
                'before a word; model.to_single_token(" Mary") gives the word\'s own token'
            )

    def positions(self, real: Tensor) -> Tensor:
        return _one(self.at, real, len(self.answer))

    @property
    def columns(self) -> Tensor:
        return torch.stack([self.answer, self.wrong], dim=-1)

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        return logits[:, 0, 0] - logits[:, 0, 1]

    def only(self, prompts: slice) -> LogitDifference:
        answers = {"answer": self.answer[prompts], "wrong": self.wrong[prompts]}
        return replace(self, **answers, at=_only(self.at, prompts))


def logit_difference(batch: PromptBatch) -> LogitDifference:
    """The logit difference of a batch's answers and distractors at each prompt's end."""
    return LogitDifference(batch.answer, batch.distractor)


@dataclass(frozen=True, eq=False)
class Accuracy(LogitDifference):
    """1 where the answer's logit is above the wrong answer's, else 0."""

    name: ClassVar[str] = "accuracy"
    unit: ClassVar[str] = "share of prompts"

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        return (super().__call__(logits, examples) > 0).to(logits.dtype)

    only = LogitDifference.only


@dataclass(frozen=True, eq=False)
class AnswerLogProb(Metric):
    """log p(answer) at one position, by default each prompt's last."""

    answer: Int[Tensor, " batch"]
    at: LogitsAt = -1
    name: ClassVar[str] = "answer log-probability"
    unit: ClassVar[str] = "nats"

    def __post_init__(self) -> None:
        _check_answers("answer", self.answer)

    def positions(self, real: Tensor) -> Tensor:
        return _one(self.at, real, len(self.answer))

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        answers = self.answer.to(examples.device)[examples]
        return logits[:, 0].log_softmax(-1).gather(-1, answers[:, None])[:, 0]

    def only(self, prompts: slice) -> AnswerLogProb:
        return replace(self, answer=self.answer[prompts], at=_only(self.at, prompts))


@dataclass(frozen=True, eq=False)
class ProbabilitySum(Metric):
    """Σ p(right tokens) − Σ p(wrong tokens) at one position: masks over the vocabulary say which
    tokens are right and which are wrong for each prompt."""

    right: Bool[Tensor, "batch d_vocab"]
    wrong: Bool[Tensor, "batch d_vocab"]
    at: LogitsAt = -1
    name: ClassVar[str] = "probability difference"
    unit: ClassVar[str] = "probability"

    def positions(self, real: Tensor) -> Tensor:
        return _one(self.at, real, len(self.right))

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        probabilities = logits[:, 0].softmax(-1)
        right = self.right.to(examples.device)[examples].to(probabilities.dtype)
        wrong = self.wrong.to(examples.device)[examples].to(probabilities.dtype)
        return (probabilities * (right - wrong)).sum(-1)

    def only(self, prompts: slice) -> ProbabilitySum:
        masks = {"right": self.right[prompts], "wrong": self.wrong[prompts]}
        return replace(self, **masks, at=_only(self.at, prompts))


@dataclass(frozen=True, eq=False)
class Loss(Metric):
    """Mean −log p(next token) over each prompt's tokens from position `start` on."""

    tokens: Int[Tensor, "batch pos"]
    start: int = 0
    real: Bool[Tensor, "batch pos"] | None = None
    name: ClassVar[str] = "loss"
    unit: ClassVar[str] = "nats per token"

    def __post_init__(self) -> None:
        n_pos = self.tokens.shape[1]
        if not 0 <= self.start < n_pos - 1:
            raise UsageError(
                f"start must lie in 0…{n_pos - 2} for {n_pos} tokens, got {self.start}"
            )
        if self.real is not None and not bool(self._counted(self.real).any(-1).all()):
            raise UsageError(
                f"every prompt needs two neighbouring tokens from position {self.start} on to have a "
                "loss; begin earlier or leave out the shortest prompts"
            )

    def _counted(self, real: Tensor) -> Tensor:
        """Where a real token follows a real one."""
        return real[..., self.start + 1 :] & real[..., self.start : -1]

    def positions(self, real: Tensor) -> Tensor:
        if real.shape != self.tokens.shape:
            raise UsageError(
                f"this loss is of tokens {list(self.tokens.shape)}, got {list(real.shape)}"
            )
        counted = torch.ones_like(real) if self.real is None else self.real.to(real)
        if not torch.equal(counted, real):
            raise UsageError(
                "this loss counts other tokens as real than the run does; give Loss(real=…) the "
                "attention_mask of the run"
            )
        return torch.arange(self.start, real.shape[1] - 1).expand(len(real), -1)

    def each(self, logits: Tensor, examples: Tensor) -> Float[Tensor, "example step"]:
        """The loss of every token after `start`."""
        following = self.tokens.to(examples.device)[examples, self.start + 1 :]
        return -logits.log_softmax(-1).gather(-1, following[..., None])[..., 0]

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        each = self.each(logits, examples)
        if self.real is None:
            return each.mean(-1)
        counted = self._counted(self.real.to(examples.device)[examples]).to(each.dtype)
        return (each * counted).sum(-1) / counted.sum(-1)

    def only(self, prompts: slice) -> Loss:
        real = None if self.real is None else self.real[prompts]
        return replace(self, tokens=self.tokens[prompts], real=real)


@dataclass(frozen=True, eq=False)
class KLToBase(Metric):
    """KL(base run ‖ this run) of the next-token distribution at one position."""

    at: LogitsAt = -1
    base: Float[Tensor, "batch d_vocab"] | None = field(default=None, repr=False)
    name: ClassVar[str] = "KL to the base run"
    unit: ClassVar[str] = "nats"
    never_negative: ClassVar[bool] = True

    def positions(self, real: Tensor) -> Tensor:
        return _one(self.at, real, len(real))

    def bound(self, base_logits: Tensor) -> KLToBase:
        return replace(self, base=base_logits[:, 0].log_softmax(-1))

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        if self.base is None:
            raise UsageError("KLToBase has no base run yet; a sweep gives it one, or call bound()")
        base = self.base[examples]
        return (base.exp() * (base - logits[:, 0].log_softmax(-1))).sum(-1)

    def only(self, prompts: slice) -> KLToBase:
        base = None if self.base is None else self.base[prompts]
        return replace(self, base=base, at=_only(self.at, prompts))


def _only(at: LogitsAt, prompts: slice) -> LogitsAt:
    """A tensor of positions is one for each prompt; all else is the same for every prompt."""
    return at[prompts] if isinstance(at, Tensor) and at.ndim else at


def _check_answers(name: str, tokens: object) -> None:
    got = f"{tokens!r:.60}"
    if isinstance(tokens, Tensor):
        got = f"{tokens.dtype} of shape {list(tokens.shape)}"
        whole = not (
            tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool
        )
        if whole and tokens.ndim == 1:
            return
    raise UsageError(
        f"{name} must be a tensor of token ids [batch], such as "
        f'torch.tensor([model.to_single_token(" Mary")]), got {got}'
    )


def _one(at: LogitsAt, real: Tensor, n_answers: int) -> Tensor:
    """`[batch 1]` positions to read."""
    if n_answers != len(real):
        raise UsageError(
            f"the metric knows {n_answers} prompts' answers, the run has {len(real)} prompts"
        )
    found = read_positions(at, real)
    if found is None or found.shape[1] != 1:
        raise UsageError(f"expected one position to read per prompt, got {at}")
    return found


def measured(
    metric: Metric, logits: Float[Tensor, "batch pos d_vocab"], real: Bool[Tensor, "batch pos"]
) -> Float[Tensor, " batch"]:
    """The metric of a run's full logits `[batch pos d_vocab]`, the plain way."""
    examples = torch.arange(len(logits), device=logits.device)
    read = logits[examples[:, None], metric.positions(real).to(logits.device)]
    if metric.columns is not None:
        columns = rearrange(
            metric.columns.to(logits.device), "batch component -> batch 1 component"
        )
        read = read.gather(-1, columns.expand(-1, read.shape[1], -1))
    return metric(read, examples)
