"""Random tokens repeated: a corpus that needs no data, and that only induction can predict.

Every example begins with `<|endoftext|>` and some random tokens; then a sequence of random length
is repeated until the context is full. Length and start vary from example to example, since at a
fixed distance learned positions alone would find the earlier copy. `distance` fixes it: the control
in which no head has to match a token.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interp.errors import UsageError


@dataclass(frozen=True, slots=True)
class Repeats:
    """Examples of `n_ctx` tokens after `begin`, drawn from the tokens from `first` up to `size`."""

    size: int
    n_ctx: int
    begin: int
    first: int
    shortest: int
    longest: int
    seed: int
    distance: int | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.shortest <= self.longest <= self.n_ctx // 2:
            raise UsageError(
                f"sequences must have 2 tokens or more and fit twice into the context of {self.n_ctx}, "
                f"got {self.shortest} to {self.longest}"
            )
        if self.longest > self.size - self.first:
            raise UsageError(
                f"sequences of up to {self.longest} tokens, none of them twice, need as many to draw "
                f"from, got {self.size - self.first}"
            )

    @property
    def tokens_a_row(self) -> int:
        """Tokens that a row holds, all of them real."""
        return self.n_ctx

    def batch(self, step: int, size: int) -> Int[Tensor, "batch pos"]:
        """The examples of this step."""
        return self._drawn(np.random.default_rng([self.seed, 0, step]), size)

    def validation(self, most: int) -> Int[Tensor, "example pos"]:
        """Examples that no step reads."""
        return self._drawn(np.random.default_rng([self.seed, 1]), most)

    def _drawn(self, generator: np.random.Generator, count: int) -> Int[Tensor, "batch pos"]:
        pos, usual = np.arange(self.n_ctx), np.arange(self.first, self.size)
        rows = []
        for _ in range(count):
            length = self.distance or int(generator.integers(self.shortest, self.longest + 1))
            start = 0 if self.distance else int(generator.integers(0, self.longest))
            before = generator.choice(usual, start)
            # No token twice, so that only one place matches.
            sequence = generator.permutation(usual)[:length]
            again = sequence[(pos - start) % length]
            again[:start] = before
            rows.append(again)
        tokens = np.stack(rows).astype(np.int64)
        return torch.from_numpy(np.pad(tokens, ((0, 0), (1, 0)), constant_values=self.begin))

    def at_distance(self, distance: int) -> Self:
        """The control: the same at this one distance, from one place."""
        return replace(self, distance=distance)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
