"""Labelled lines as batches: every row a label, its text's tokens, and padding."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interp.errors import UsageError, brief, nearest
from interp.rows import Row, rows
from interp.tokenizers.bos import begin, put

_SINGLE, _PAIR, _LABEL = ("text",), ("premise", "hypothesis"), "label"
_HELD_OUT_SHARE = 0.1
_FEWEST = 20
PADDING = -1


@dataclass(frozen=True, slots=True)
class Line:
    """One text, or two that are read as a pair, with its label's name."""

    place: str
    texts: tuple[str, ...]
    label: str


@dataclass(frozen=True, eq=False)
class Lines:
    """Labelled texts as tokens, the last ones held out.

    A step reads lines in an order drawn anew for every pass over them.
    """

    learnt: tuple[tuple[int, tuple[int, ...]], ...]
    held_out: tuple[tuple[int, tuple[int, ...]], ...]
    seed: int

    @cached_property
    def n_ctx(self) -> int:
        """Tokens of the longest text."""
        return max(len(tokens) for _, tokens in self.learnt + self.held_out)

    @cached_property
    def tokens_a_row(self) -> float:
        """Tokens that a row holds on average, padding aside."""
        return float(np.mean([len(tokens) for _, tokens in self.learnt]))

    def batch(self, step: int, size: int) -> Int[Tensor, "batch pos"]:
        """The rows of this step."""
        count, rows = len(self.learnt), []
        for place in range(step * size, (step + 1) * size):
            order = np.random.default_rng([self.seed, 0, place // count]).permutation(count)
            rows.append(self.learnt[order[place % count]])
        return _padded(rows)

    def validation(self, most: int) -> Int[Tensor, "example pos"]:
        """At most so many rows that no step reads."""
        return _padded(self.held_out[:most])


def lines(path: Path) -> list[Line]:
    """The lines of a .csv, .jsonl or .json file with the columns `text` and `label`, or `premise`,
    `hypothesis` and `label`.

    Raises  UsageError, naming file and line, for whatever is not that, for fewer than 20 lines, and
            for a single label.
    """
    found = [_line(row) for row in rows(path)]
    if len(found) < _FEWEST:
        raise UsageError(f"{path} has {len(found)} labelled lines, at least {_FEWEST} are needed")
    if len(labels := {line.label for line in found}) < 2:
        raise UsageError(f"{path} has the label {labels.pop()!r:.60} alone; two are needed")
    if len({len(line.texts) for line in found}) > 1:
        raise UsageError(f"{path} has single texts and pairs; give one kind")
    return found


def checksum(found: Sequence[Line]) -> str:
    """The SHA-256 of the lines, in their order."""
    written = json.dumps([[*line.texts, line.label] for line in found])
    return hashlib.sha256(written.encode()).hexdigest()


def prepared(tokenizer: Any, d_vocab: int) -> Any:
    """The tokenizer with something before a text and between two: what it puts there itself, or
    else what stands before a document, so that Hugging Face's library reads a text as training does.
    It pads with a token that a model of `d_vocab` tokens has a row for.

    Raises  UsageError for a tokenizer that has neither.
    """
    # Hugging Face's library embeds padding too, and cannot build a model whose padding has no row.
    if tokenizer.pad_token is None or tokenizer.pad_token_id >= d_vocab:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(begin(tokenizer))
    # Where it stands before a text, positions are counted from it there, and not in training.
    tokenizer.padding_side = "right"
    if not tokenizer.num_special_tokens_to_add(pair=True):
        put(tokenizer, between=True)
    return tokenizer


def split(
    found: Sequence[Line],
    labels: Sequence[str],
    tokenizer: Any,
    n_ctx: int,
    seed: int,
    d_vocab: int | None = None,
) -> Lines:
    """The lines as tokens, shuffled, with a tenth of them held out.

    Raises  UsageError, naming the line, for a text longer than `n_ctx` tokens or with a token beyond
            `d_vocab`, and for a label that no learnt line has.
    """
    encoded = []
    for line in found:
        tokens = _read(tokenizer, line.texts)
        if d_vocab is not None and (beyond := [each for each in tokens if each >= d_vocab]):
            raise UsageError(
                f"{line.place}: the token {brief(tokenizer.convert_ids_to_tokens(beyond[0]))} was added to "
                f"the tokenizer and has no row in the model; take it out of the text"
            )
        if not 1 <= len(tokens) <= n_ctx:
            raise UsageError(
                f"{line.place}: the text has {len(tokens)} tokens, the model reads 1 to {n_ctx}; "
                "shorten it or leave it out"
            )
        encoded.append((labels.index(line.label), tokens))
    order = np.random.default_rng([seed, 1]).permutation(len(encoded))
    mixed = tuple(encoded[place] for place in order)
    n_held_out = max(2, int(len(mixed) * _HELD_OUT_SHARE))
    learnt = mixed[:-n_held_out]
    if missing := {*range(len(labels))} - {label for label, _ in learnt}:
        raise UsageError(
            f"the label {labels[min(missing)]!r:.60} is left without a line to learn from when a "
            "tenth is held out; give more lines of it"
        )
    return Lines(learnt, mixed[-n_held_out:], seed)


def _read(tokenizer: Any, texts: Sequence[str]) -> tuple[int, ...]:
    """The tokens of a text up to the last that is no padding, which is where Hugging Face's library
    reads a text, whoever put padding there."""
    tokens = tuple(tokenizer(*texts)["input_ids"])
    last = max((at for at, it in enumerate(tokens) if it != tokenizer.pad_token_id), default=0)
    return tokens[: last + 1]


def _line(row: Row) -> Line:
    texts = _PAIR if _PAIR[0] in row.values else _SINGLE
    for name in row.values:
        if name not in (known := (*texts, _LABEL)):
            raise UsageError(
                f"{row.place}: no column is called {name!r:.60}; {nearest(name, known)}"
            )
    label = row.values.get(_LABEL)
    if isinstance(label, bool) or not isinstance(label, str | int) or not str(label).strip():
        raise UsageError(f"{row.place}: label must be a name or a number, got {label!r:.60}")
    return Line(row.place, tuple(map(row.text, texts)), str(label).strip())


def _padded(rows: Sequence[tuple[int, tuple[int, ...]]]) -> Int[Tensor, "batch pos"]:
    longest = max(len(tokens) for _, tokens in rows)
    return torch.tensor(
        [[label, *tokens, *[PADDING] * (longest - len(tokens))] for label, tokens in rows]
    )
