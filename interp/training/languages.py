"""The languages that ship with the project, and how a tokenizer fares on a text.

Source  christos-c/bible-corpus at 44e5fca, CC0 1.0; see data/languages/README.md.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from interp.errors import UsageError, nearest
from interp.training import bpe
from interp.training.objective import NEXT_TOKEN
from interp.transformer import Transformer

_FOLDER = Path(__file__).parent / "data" / "languages"
LANGUAGES = ("swahili", "zulu", "wolof", "ewe", "latvian", "estonian", "basque", "manx")


@dataclass(frozen=True, slots=True)
class Text:
    """Lines to learn from and lines held out: every tenth block of ten lines."""

    learnt: list[str]
    held_out: list[str]


def text(language: str) -> Text:
    """The lines of a language.

    Raises  UsageError for a language that does not ship.
    """
    if language not in LANGUAGES:
        raise UsageError(f"no language is called {language!r}; {nearest(language, LANGUAGES)}")
    data = gzip.decompress((_FOLDER / f"{language}.txt.gz").read_bytes())
    lines = data.decode("utf-8").splitlines()
    return Text(
        [line for index, line in enumerate(lines) if index // 10 % 10 != 9],
        [line for index, line in enumerate(lines) if index // 10 % 10 == 9],
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """How a tokenizer cuts a text. `broken` is the share of tokens that are not whole characters."""

    tokens_per_word: float
    tokens_per_byte: float
    broken: float


def fit(tokenizer: Any, lines: Sequence[str]) -> Fit:
    """How this tokenizer cuts these lines."""
    joined = "\n".join(lines)
    tokens = tokenizer(joined, add_special_tokens=False, verbose=False)["input_ids"]
    broken = sum("�" in tokenizer.decode([token]) for token in tokens)
    return Fit(
        len(tokens) / len(joined.split()),
        len(tokens) / len(joined.encode()),
        broken / len(tokens),
    )


@torch.no_grad()
def bits_per_byte(model: Transformer, lines: Sequence[str], n_ctx: int) -> float:
    """What the model needs, in bits, for each byte of the lines: every token is read after those of
    its window, and every window begins with what stands before a document. The tokenizer's own
    count of tokens cancels out, so that models with different ones can be compared."""
    joined = "\n".join(lines)
    tokens = model.tokenizer(joined, add_special_tokens=False, verbose=False)["input_ids"]
    begin, nats = bpe.begin(model.tokenizer), 0.0
    for start in range(0, len(tokens), n_ctx):
        row = torch.tensor([[begin, *tokens[start : start + n_ctx]]], device=model.device)
        nats += float(NEXT_TOKEN.losses(model, row).double().sum())
    return nats / math.log(2) / len(joined.encode())
