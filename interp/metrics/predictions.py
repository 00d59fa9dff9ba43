"""Metrics of everything that a run predicts, whatever the answers are."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.errors import UsageError
from interp.metrics.metric import Metric, one, only
from interp.transformer.run import LogitsAt


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

    def only(self, prompts: slice) -> "Loss":
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
        return one(self.at, real, len(real))

    def bound(self, base_logits: Tensor) -> "KLToBase":
        return replace(self, base=base_logits[:, 0].log_softmax(-1))

    def __call__(self, logits: Tensor, examples: Tensor) -> Tensor:
        if self.base is None:
            raise UsageError("KLToBase has no base run yet; a sweep gives it one, or call bound()")
        base = self.base[examples]
        return (base.exp() * (base - logits[:, 0].log_softmax(-1))).sum(-1)

    def only(self, prompts: slice) -> "KLToBase":
        base = None if self.base is None else self.base[prompts]
        return replace(self, base=base, at=only(self.at, prompts))
