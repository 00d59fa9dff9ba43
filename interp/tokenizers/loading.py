"""The tokenizer in a folder, loaded when it is first needed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interp.errors import UnavailableError, named, reason
from interp.ordinary import MB, ordinary_file

TokenizerLoader = Callable[[], Any]
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "tokenizer.model")
_BESIDE = (
    *("merges.txt", "vocab.txt", "special_tokens_map.json", "added_tokens.json", "config.json"),
    *("chat_template.jinja", "chat_template.json", "generation_config.json"),
)
_MOST_BYTES = 256 * MB


def tokenizer_in(folder: Path, name: str) -> TokenizerLoader | None:
    """What loads the tokenizer of a Hugging Face folder when it is first needed; None if the folder
    holds none."""
    found = any(os.path.lexists(folder / file) for file in _TOKENIZERS)
    return tokenizer_of(str(folder), name) if found else None


def tokenizer_of(source: str, name: str, kind: str = "AutoTokenizer") -> TokenizerLoader:
    """What loads the tokenizer of a folder or a Hugging Face id. An `AutoTokenizer` looks into the
    config.json beside it, which has to be Hugging Face's."""

    def load() -> object:
        import transformers

        _check_files(Path(source))
        try:
            found = getattr(transformers, kind).from_pretrained(source, trust_remote_code=False)
            # Some of what its files say counts only when a text is read.
            found("a")
            return found
        except BaseException as error:  # its parsers raise whatever they like, panics of Rust too
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise UnavailableError(
                f"the tokenizer of {named(name)} cannot be loaded: {reason(error)}"
            ) from error

    return load


def _check_files(folder: Path) -> None:
    """Passes if a tokenizer's files in this folder can be opened: a pipe would be waited for, and a
    file of any size would be read whole."""
    for name in (*_TOKENIZERS, *_BESIDE):
        if os.path.lexists(path := folder / name):
            size = ordinary_file(path).stat().st_size
            if size > _MOST_BYTES:
                raise UnavailableError(
                    f"{named(path)} has {size:,} bytes, a tokenizer's file at most {_MOST_BYTES:,}"
                )
