"""The languages that ship with the project, and how a tokenizer fares on a text.

Source  christos-c/bible-corpus at 44e5fca, CC0 1.0; see data/languages/README.md.
"""

import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from interp.errors import UsageError, nearest
from interp.tokenizers.bos import begin
from interp.training import corpus
from interp.training.loop import NEXT_TOKEN
from interp.transformer import Transformer

_FOLDER = Path(__file__).parent / "data" / "languages"
LANGUAGES = ("swahili", "zulu", "wolof", "ewe", "latvian", "estonian", "basque", "manx")
# Held out: every tenth block of so many lines.
_BLOCK = 10


@dataclass(frozen=True, slots=True)
class Text:
    """Lines to learn from, and the blocks of lines that are held out."""

    learnt: list[str]
    blocks: list[list[str]]

    @property
    def held_out(self) -> list[str]:
        """The held-out lines."""
        return [line for block in self.blocks for line in block]


def text(name: str) -> Text:
    """The lines of a language that ships, or those of a file (.txt, .md or .gz) with a line of text a
    line.

    Raises  UsageError for a name that is neither, and for a file too short to hold two blocks out.
    """
    if name in LANGUAGES:
        lines = gzip.decompress((_FOLDER / f"{name}.txt.gz").read_bytes()).decode().splitlines()
    elif Path(name).is_file():
        read = "\n".join(corpus.documents(Path(name))).splitlines()
        lines = [line for line in read if line.strip()]
    else:
        raise UsageError(f"no language and no file is called {name!r}; {nearest(name, LANGUAGES)}")
    blocks = [lines[start : start + _BLOCK] for start in range(0, len(lines), _BLOCK)]
    held_out = blocks[9::10]
    if len(held_out) < 2:
        raise UsageError(
            f"{name} has {len(lines)} lines; {20 * _BLOCK} or more are needed, so that two blocks of "
            f"{_BLOCK} can be held out"
        )
    learnt = [line for row, block in enumerate(blocks) if row % 10 != 9 for line in block]
    return Text(learnt, held_out)


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


def beside(tokenizer: Any, own: Any, lines: Sequence[str]) -> dict[str, float]:
    """How a tokenizer and the language's own cut the same lines: tokens_per_word, own_tokens_per_word, and so
    on."""
    sides = {"": fit(tokenizer, lines), "own_": fit(own, lines)}
    names = [each.name for each in fields(Fit)]
    return {side + name: getattr(cut, name) for name in names for side, cut in sides.items()}


@torch.no_grad()
def bits_per_byte(
    model: Transformer, blocks: Sequence[Sequence[str]], n_ctx: int
) -> Float[np.ndarray, " example"]:
    """What the model needs, in bits, for each byte of each block of lines: every token is read after
    those of its window, and every window begins with what stands before a document. The tokenizer's
    own count of tokens cancels out, so that models with different ones can be compared."""
    bos, found = begin(model.tokenizer), []
    for block in blocks:
        joined = "\n".join(block)
        tokens = model.tokenizer(joined, add_special_tokens=False, verbose=False)["input_ids"]
        nats = 0.0
        for start in range(0, len(tokens), n_ctx):
            row = torch.tensor([[bos, *tokens[start : start + n_ctx]]], device=model.device)
            nats += float(NEXT_TOKEN.losses(model, row).double().sum())
        found.append(nats / math.log(2) / len(joined.encode()))
    return np.array(found)
