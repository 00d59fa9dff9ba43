"""Metrics of the answers that prompts have."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.errors import UsageError
from interp.metrics.metric import Metric, check_answers, one, only
from interp.tasks.batches import PromptBatch
from interp.transformer.run import LogitsAt


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
            check_answers(name, getattr(self, name))
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
        return one(self.at, real, len(self.answer))

    @property
    def columns(self) -> Tensor:
        return torch.stack([self.answer, self.wrong], dim=-1)

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        return logits[:, 0, 0] - logits[:, 0, 1]

    def of(self, logits: Tensor) -> Tensor:
        """Of every prompt's logits over the whole vocabulary at the position read."""
        answer, wrong = logits.gather(-1, self.columns).unbind(-1)
        return answer - wrong

    def only(self, prompts: slice) -> "LogitDifference":
        answers = {"answer": self.answer[prompts], "wrong": self.wrong[prompts]}
        return replace(self, **answers, at=only(self.at, prompts))


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
        check_answers("answer", self.answer)

    def positions(self, real: Tensor) -> Tensor:
        return one(self.at, real, len(self.answer))

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        answers = self.answer.to(examples.device)[examples]
        return logits[:, 0].log_softmax(-1).gather(-1, answers[:, None])[:, 0]

    def only(self, prompts: slice) -> "AnswerLogProb":
        return replace(self, answer=self.answer[prompts], at=only(self.at, prompts))


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
        return one(self.at, real, len(self.right))

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        probabilities = logits[:, 0].softmax(-1)
        right = self.right.to(examples.device)[examples].to(probabilities.dtype)
        wrong = self.wrong.to(examples.device)[examples].to(probabilities.dtype)
        return (probabilities * (right - wrong)).sum(-1)

    def only(self, prompts: slice) -> "ProbabilitySum":
        masks = {"right": self.right[prompts], "wrong": self.wrong[prompts]}
        return replace(self, **masks, at=only(self.at, prompts))
