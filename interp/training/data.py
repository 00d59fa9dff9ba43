"""What a model learns from, ready to be read: tokenizer, batches, held-out windows, and its identity."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interp import files
from interp.errors import UnavailableError, UsageError, named, reason
from interp.ordinary import ordinary_file
from interp.tokenizers import bpe, letters
from interp.tokenizers.bos import begin, begun
from interp.training import corpus
from interp.training.labelled import Line, Lines, checksum, prepared
from interp.training.labelled import split as split_lines
from interp.training.loop import NEXT_TOKEN, Label, NextToken, Objective
from interp.training.state import AGAIN
from interp.weights.files import read_json


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

    def at_distance(self, distance: int) -> "Repeats":
        """The control: the same at this one distance, from one place."""
        return replace(self, distance=distance)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


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


_TOKENS, _TOKENIZER, _IDENTITY = "tokens.npy", "tokenizer", "data.json"


# Batches depend on nothing but the seed and the number of the step.
Source = Stream | Repeats | Lines


@dataclass(frozen=True, eq=False)
class Data:
    """`identity` says in plain data what the batches were made of."""

    source: Source
    tokenizer: Any
    identity: dict[str, Any]
    n_tokens: int | None = None
    objective: Objective = NEXT_TOKEN


def from_text(
    path: Path, place: Path, *, vocabulary: int, n_ctx: int, seed: int, repeated: float = 0.0
) -> Data:
    """A text under a tokenizer learnt from it. Tokenizer and tokens are kept in `place`, and made
    again only for another text or vocabulary.

    Raises  UsageError for a text that cannot be read or is too small for vocabulary or context.
    """
    from transformers import PreTrainedTokenizerFast

    texts = corpus.documents(path)
    identity = {"text": corpus.checksum(texts), "documents": len(texts), "vocabulary": vocabulary}
    kept, known = place / "text", None
    with contextlib.suppress(UnavailableError):
        known = read_json(kept / _IDENTITY)
    if known != identity:
        tokenizer = bpe.learn(texts, vocabulary)
        tokens = bpe.encode(tokenizer, bpe.shuffled(texts, seed=0))
        split(tokens, 0, n_ctx, seed)
        with files.writing(kept, AGAIN), files.folder(kept) as folder:
            tokenizer.save_pretrained(folder / _TOKENIZER)
            np.save(folder / _TOKENS, tokens)
            (folder / _IDENTITY).write_text(json.dumps(identity), encoding="utf-8")
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(kept / _TOKENIZER)
        tokens = np.load(ordinary_file(kept / _TOKENS), mmap_mode="r")
    except Exception as error:  # what is damaged can raise anything
        raise UsageError(
            f"{named(kept)} is damaged: {reason(error)}; remove it and repeat the command"
        ) from None
    stream = split(tokens, begin(tokenizer), n_ctx, seed, repeated)
    return _of_stream(stream, tokenizer, identity | {"repeated": repeated})


def of_texts(texts: Sequence[str], tokenizer: Any, *, n_ctx: int, seed: int) -> Data:
    """Documents under a tokenizer that is there already; what is learnt from them is learnt with a BOS,
    and its tokenizer says so.

    Raises  UsageError for texts that are too small for the context.
    """
    tokenizer = begun(tokenizer)
    identity = {"text": corpus.checksum(texts), "documents": len(texts)}
    tokens = bpe.encode(tokenizer, bpe.shuffled(texts, seed=0))
    return _of_stream(split(tokens, begin(tokenizer), n_ctx, seed), tokenizer, identity)


def of_lines(
    found: Sequence[Line],
    labels: Sequence[str],
    tokenizer: Any,
    *,
    n_ctx: int,
    d_vocab: int,
    seed: int,
) -> Data:
    """Labelled lines under a tokenizer that is there already, for a model of `d_vocab` tokens.

    Raises  UsageError for a text longer than `n_ctx`.
    """
    identity = {"lines": checksum(found), "labels": list(labels), "pairs": len(found[0].texts) == 2}
    source = split_lines(found, labels, prepared(tokenizer, d_vocab), n_ctx, seed, d_vocab)
    n_tokens = sum(len(tokens) for _, tokens in source.learnt + source.held_out)
    return Data(source, tokenizer, identity, n_tokens, Label())


def from_repeats(*, vocabulary: int, n_ctx: int, seed: int, distance: int | None = None) -> Data:
    """Random letters repeated, each a token of its own.

    Raises  UsageError for a context too short to repeat anything in, and for a vocabulary without
            two letters.
    """
    source = Repeats(
        size=vocabulary,
        n_ctx=n_ctx,
        begin=0,
        first=1,
        shortest=max(2, min(n_ctx // 4, vocabulary - 1)),
        longest=min(n_ctx // 2, vocabulary - 1),
        seed=seed,
        distance=distance,
    )
    return Data(source, letters.tokenizer(vocabulary), {"repeats": source.to_dict()})


def _of_stream(stream: Stream, tokenizer: Any, identity: dict[str, Any]) -> Data:
    held_out = stream.held_out[stream.held_out != stream.begin].tolist()
    n_bytes = len(tokenizer.decode(held_out).encode())
    n_tokens = len(stream.learnt) + len(stream.held_out)
    objective = NextToken(n_bytes / len(stream.held_out))
    return Data(stream, tokenizer, identity, n_tokens, objective)
