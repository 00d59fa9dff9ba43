"""A tokenizer of single letters, for texts that mean nothing."""

from __future__ import annotations

import itertools
from typing import Any

from interp.tokenizers.wrapped import END, wrapped


def tokenizer(size: int) -> Any:
    """`<|endoftext|>`, then `size` − 1 digits and letters, each a token: 0…9, A…Z, a…z, À and on. It
    also stands for whatever is none of them. Hugging Face's class."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    # Between z and À stand raised digits and the like, which are hard to tell apart on a page.
    usual = (letter for letter in map(chr, itertools.count()) if letter.isalnum())
    readable = (letter for letter in usual if letter.isascii() or letter >= "À")
    known = {END: 0} | {
        letter: index for index, letter in enumerate(itertools.islice(readable, size - 1), start=1)
    }
    backend = Tokenizer(models.WordLevel(known, unk_token=END))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return wrapped(backend)
