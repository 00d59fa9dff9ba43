"""A byte-level BPE tokenizer of one's own, and the text as its tokens."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from interp.errors import UsageError
from interp.tokenizers.bos import begin
from interp.tokenizers.letters import END, wrapped

# The end of a document and the bytes, of which every text can be made.
SMALLEST = 257
_BATCH = 1 << 20


def learn(texts: Sequence[str], size: int) -> Any:
    """A tokenizer of `size` tokens learnt from these documents, as Hugging Face's class: any text
    goes in and comes out unchanged.

    Raises  UsageError for a size below that of the bytes, or one that the texts cannot fill.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < SMALLEST:
        raise UsageError(
            f"a vocabulary must hold {END} and the 256 bytes, {SMALLEST} tokens, got {size}"
        )
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    if (got := backend.get_vocab_size()) < size:
        raise UsageError(
            f"a vocabulary of {size} was asked for, and the text yields only {got} different "
            f"tokens; ask for {got} or fewer, or give more text"
        )
    return wrapped(backend)


def encode(tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """The tokens of the documents, one after another, each after what `begin` says."""
    backend, end = tokenizer.backend_tokenizer, begin(tokenizer)
    kind = np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32
    parts: list[np.ndarray] = []
    for batch in _batches(texts):
        for encoding in backend.encode_batch_fast(batch, add_special_tokens=False):
            parts.append(np.array([end, *encoding.ids], dtype=kind))
    return np.concatenate(parts)


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The documents a few at a time: their encodings take many times their own memory."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size > _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def shuffled(texts: Sequence[str], seed: int) -> list[str]:
    """The documents in another order, so that those at the end are like the others."""
    return [texts[index] for index in np.random.default_rng(seed).permutation(len(texts))]
