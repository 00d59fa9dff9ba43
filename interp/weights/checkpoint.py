"""What every source of weights comes down to, and how a model is made of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from interp.errors import UnavailableError, UsageError, named, reason
from interp.ordinary import MB
from interp.tokenizers import Choice
from interp.transformer import Config, Origin, Transformer
from interp.transformer.classifying import Classifying
from interp.transformer.model import TokenizerLoader
from interp.weights.files import ordinary_file

_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "tokenizer.model")
_BESIDE = (
    *("merges.txt", "vocab.txt", "special_tokens_map.json", "added_tokens.json", "config.json"),
    *("chat_template.jinja", "chat_template.json", "generation_config.json"),
)
_MOST_BYTES = 256 * MB

Named = Iterator[tuple[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that is ready to be built: its shape, its weights under our names, its tokenizer.

    `weights` is called with the dtype and the device that they are to have; with `meta` it gives the
    shapes alone. `huggingface` is
    a folder from which Hugging Face's library loads the same model, where there is one. A model with
    `labels` has a classification head.
    """

    config: Config
    origin: Origin
    weights: Callable[[torch.dtype, torch.device], Named]
    tokenizer: TokenizerLoader | None
    huggingface: Path | None = None
    labels: tuple[str, ...] = ()

    def build(self, dtype: torch.dtype, device: torch.device, bos: Choice = "auto") -> Transformer:
        """The model. Its parameters are the tensors that `weights` gives, not copies of them. `bos`
        says what stands before its prompts.

        Raises  UnavailableError if weights and shape do not belong together.
        """
        # Shapes before values, and before anything of the config's sizes is built.
        shapes = dict(self.weights(dtype, torch.device("meta")))
        with torch.device("meta"):
            model = (
                Classifying(self.config, self.labels, self.origin, self.tokenizer, bos)
                if self.labels
                else Transformer(self.config, self.origin, self.tokenizer, bos)
            )
        try:
            model.check(shapes)
            model.assign(dict(self.weights(dtype, device)))
        except UsageError as error:
            raise UnavailableError(
                f"{named(self.origin.name)}: the weights do not fit the config: {error}"
            ) from None
        return model.eval()


def check_shapes(weights: Callable[[torch.dtype, torch.device], Named]) -> None:
    """Passes if the files have every tensor in the shape that the config says, before anything that takes
    time or room is done with them.

    Raises  UnavailableError as `Reader` does.
    """
    for _ in weights(torch.float32, torch.device("meta")):
        pass


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
