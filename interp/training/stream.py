"""Text as batches: windows of one long row of tokens, drawn anew for every step.

What a step reads depends on the seed and the step's number alone, so training goes on after an
interruption with exactly the batches that it would have had.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interp.errors import UsageError

_HELD_OUT_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Stream:
    """Tokens to learn from and held-out ones, read in windows of `n_ctx` after an `<|endoftext|>`.

    A window is `[begin, …]`: `n_ctx` tokens to read, each predicting the next. Every window begins
    with `<|endoftext|>`, as every prompt of a task does. In a share of the learnt windows,
    `repeated`, the text soon comes again, and again until the window ends: what is rare in a small
    corpus, and what only induction can predict.
    """

    learnt: np.ndarray
    held_out: np.ndarray
    begin: int
    n_ctx: int
    seed: int
    repeated: float = 0.0

    @property
    def tokens_a_row(self) -> int:
        """Tokens that a row holds, all of them real."""
        return self.n_ctx

    def batch(self, step: int, size: int) -> Int[Tensor, "batch pos"]:
        """`size` windows of n_ctx + 1 tokens, from random places of the learnt text."""
        generator = np.random.default_rng([self.seed, step])
        starts = generator.integers(0, len(self.learnt) - self.n_ctx + 1, size)
        rows = self._windows(self.learnt, starts)
        for index in np.flatnonzero(generator.random(size) < self.repeated):
            self._repeat(rows[index], generator)
        return rows

    def _repeat(self, row: Int[Tensor, " pos"], generator: np.random.Generator) -> None:
        """Repeats a span of random length from a random place on, in place."""
        length = int(generator.integers(max(2, self.n_ctx // 16), self.n_ctx // 2 + 1))
        start = int(generator.integers(0, max(1, self.n_ctx // 2 - length + 1)))
        text = torch.arange(self.n_ctx)
        again = torch.where(text < start, text, start + (text - start) % length)
        row[1:] = row[1:][again]

    def validation(self, most: int) -> Int[Tensor, "example pos"]:
        """At most so many windows of the held-out text, evenly spread, none over another."""
        count = min(len(self.held_out) // self.n_ctx, most)
        starts = np.linspace(0, len(self.held_out) - self.n_ctx, count).astype(np.int64)
        return self._windows(self.held_out, starts)

    def _windows(self, tokens: np.ndarray, starts: np.ndarray) -> Int[Tensor, "batch pos"]:
        rows = np.stack([tokens[start : start + self.n_ctx] for start in starts]).astype(np.int64)
        return torch.from_numpy(np.pad(rows, ((0, 0), (1, 0)), constant_values=self.begin))


def split(tokens: np.ndarray, begin: int, n_ctx: int, seed: int, repeated: float = 0.0) -> Stream:
    """The tokens with their end held out: the last fiftieth, and at least one window.

    Raises  UsageError for a text that is shorter than two windows.
    """
    held_out = max(n_ctx, int(len(tokens) * _HELD_OUT_SHARE))
    if len(tokens) < 2 * n_ctx or len(tokens) - held_out < n_ctx:
        raise UsageError(
            f"the text has {len(tokens)} tokens, and a context of {n_ctx} needs at least "
            f"{2 * n_ctx}, half of them to be held out; ask for a shorter --context or give more text"
        )
    return Stream(tokens[:-held_out], tokens[-held_out:], begin, n_ctx, seed, repeated)
