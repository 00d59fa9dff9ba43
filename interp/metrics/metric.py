"""What a metric says of itself, and how it is measured the plain way."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.errors import UsageError
from interp.transformer.run import LogitsAt, read_positions


def one(at: LogitsAt, real: Tensor, n_answers: int) -> Tensor:
    """`[batch 1]` positions to read."""
    if n_answers != len(real):
        raise UsageError(
            f"the metric knows {n_answers} prompts' answers, the run has {len(real)} prompts"
        )
    found = read_positions(at, real)
    if found is None or found.shape[1] != 1:
        raise UsageError(f"expected one position to read per prompt, got {at}")
    return found


def only(at: LogitsAt, prompts: slice) -> LogitsAt:
    """A tensor of positions is one for each prompt; all else is the same for every prompt."""
    return at[prompts] if isinstance(at, Tensor) and at.ndim else at


def check_answers(name: str, tokens: object) -> None:
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


class Metric(ABC):
    """One number per prompt from its logits. `unit` is what the number counts. `never_negative` says that
    its effects cannot be: a test of signs means nothing for them."""

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

    def only(self, prompts: slice) -> "Metric":
        """The same metric for these of its prompts alone. A class that says so itself can be measured
        on some prompts after the others, where memory does not hold them all.

        Raises  UsageError for a class that does not.
        """
        raise UsageError(f"{type(self).__name__} does not say what it is for some of its prompts")

    @property
    def divisible(self) -> bool:
        """Whether this class itself says what it is for some of its prompts."""
        return "only" in vars(type(self))

    @property
    def compares(self) -> bool:
        """Whether this class itself asks for the base run's logits."""
        return type(self).bound is not Metric.bound

    def bound(self, base_logits: Float[Tensor, "batch label d_vocab"]) -> "Metric":
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
