"""Tokenizers of the project's own as Hugging Face's class, and one of single letters."""

import itertools
import sys
from typing import Any

from interp.errors import UsageError

# What stands before every text, and the one token that is no part of it.
END = "<|endoftext|>"


def wrapped(backend: Any, **more: Any) -> Any:
    """A `tokenizers.Tokenizer` whose one special token, `END`, begins, ends and pads a text, and stands
    for what the vocabulary lacks."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), END),
        clean_up_tokenization_spaces=False,
        **more,
    )


def tokenizer(size: int) -> Any:
    """`<|endoftext|>`, then `size` − 1 digits and letters, each a token: 0…9, A…Z, a…z, À and on. It
    also stands for whatever is none of them. Hugging Face's class.

    Raises  UsageError for more tokens than there are letters.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    # Between z and À stand raised digits and the like, which are hard to tell apart on a page.
    usual = (letter for letter in map(chr, range(sys.maxunicode + 1)) if letter.isalnum())
    readable = (letter for letter in usual if letter.isascii() or letter >= "À")
    letters = list(itertools.islice(readable, size - 1))
    if len(letters) < size - 1:
        raise UsageError(
            f"there are letters for {len(letters) + 1:,} tokens, and {size:,} were asked for"
        )
    known = {END: 0} | {letter: index for index, letter in enumerate(letters, start=1)}
    backend = Tokenizer(models.WordLevel(known, unk_token=END))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return wrapped(backend)
