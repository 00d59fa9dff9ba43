"""What a model learns from, ready to be read: tokenizer, batches, held-out windows, and its identity."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interp import files
from interp.errors import UnavailableError, UsageError, named, reason
from interp.ordinary import ordinary_file
from interp.tokenizers import bpe, letters
from interp.tokenizers.bos import begin
from interp.tokenizers.template import begun
from interp.training import corpus
from interp.training.labelled import Line, Lines, checksum, prepared
from interp.training.labelled import split as split_lines
from interp.training.objective import NEXT_TOKEN, Label, NextToken, Objective
from interp.training.repeats import Repeats
from interp.training.state import AGAIN
from interp.training.stream import Stream, split
from interp.weights.files import read_json

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
    texts = corpus.documents(path)
    identity = {"text": corpus.checksum(texts), "documents": len(texts), "vocabulary": vocabulary}
    kept = place / "text"
    if _identity(kept) != identity:
        tokenizer = bpe.learn(texts, vocabulary)
        tokens = bpe.encode(tokenizer, bpe.shuffled(texts, seed=0))
        split(tokens, 0, n_ctx, seed)
        with files.writing(kept, AGAIN), files.folder(kept) as folder:
            tokenizer.save_pretrained(folder / _TOKENIZER)
            np.save(folder / _TOKENS, tokens)
            (folder / _IDENTITY).write_text(json.dumps(identity), encoding="utf-8")
    try:
        tokenizer = load_tokenizer(kept / _TOKENIZER)
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


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer that was saved in a folder."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder)


def _identity(kept: Path) -> dict[str, Any] | None:
    try:
        return read_json(kept / _IDENTITY)
    except UnavailableError:
        return None


def _of_stream(stream: Stream, tokenizer: Any, identity: dict[str, Any]) -> Data:
    held_out = stream.held_out[stream.held_out != stream.begin].tolist()
    n_bytes = len(tokenizer.decode(held_out).encode())
    n_tokens = len(stream.learnt) + len(stream.held_out)
    objective = NextToken(n_bytes / len(stream.held_out))
    return Data(stream, tokenizer, identity, n_tokens, objective)
