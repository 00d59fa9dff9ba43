"""A checkpoint being read, and a model made of it: each setting and tensor of a foreign one is used, known
to change nothing, or refused by name."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp.errors import UnavailableError, UsageError, brief, named, nearest
from interp.tokenizers import Choice
from interp.tokenizers.loading import TokenizerLoader
from interp.transformer import Config, Origin, Transformer, bounds
from interp.transformer.classifying import Classifying
from interp.transformer.config import Activation

ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
# What says "not used", whichever of them a config chooses.
_OFF: tuple[Any, ...] = (None, False, "", [], {})


class Settings:
    """A config being read: it remembers which settings were asked for.

    `defaults` are the values that settings have where the config says nothing; a setting that is
    there with its default, and one that is off, needs no attention.
    """

    def __init__(
        self, where: str, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
    ) -> None:
        self.where = where
        self._values, self._defaults = dict(values), dict(defaults or {})
        self._read: set[str] = set()

    def __call__(self, name: str, default: Any = None) -> Any:
        """The value of a setting, honoured by whoever asks; `default` where it is not set."""
        self._read.add(name)
        value = self._values.get(name, self._defaults.get(name))
        return default if value is None else value

    def integer(self, name: str, default: Any = ..., most: int = bounds.MOST) -> Any:
        """The size that a setting gives, `default` (of any kind) where it is not set.

        Raises  UnavailableError for what is no integer in 1…`most`, and for a missing one without a
                default.
        """
        return self._typed(partial(bounds.whole, least=1, most=most), name, default)

    def number(self, name: str, default: Any = ...) -> Any:
        """The finite number that a setting gives, else as `integer`."""
        return self._typed(bounds.number, name, default)

    def flag(self, name: str, default: Any = ...) -> Any:
        """Whether a setting is on, else as `integer`."""
        return self._typed(bounds.flag, name, default)

    def one_of(self, name: str, known: Collection[str], default: str) -> Any:
        """The name that a setting gives, `default` where it is not set.

        Raises  UnavailableError for one that is not known.
        """
        value = self(name, default)
        if not isinstance(value, str) or value not in known:
            raise self.refuse(name)
        return value

    def says(self, name: str) -> bool:
        """Whether the config itself has this setting, be it as null."""
        return name in self._values

    def _typed(self, kind: Callable[[str, Any], Any], name: str, default: Any) -> Any:
        value = self(name)
        if value is None and default is not ...:
            return default
        try:
            return kind(name, value)
        except UsageError as error:
            raise UnavailableError(f"{named(self.where)}: {error}") from None

    def activation(self, name: str) -> Activation:
        """The activation function that a setting names.

        Raises  UnavailableError for one that the MLP does not have.
        """
        value = self(name)
        if not isinstance(value, str) or value not in ACTIVATIONS:
            raise UnavailableError(
                f"{named(self.where)}: {name} {brief(value)} is not supported; "
                f"supported are {', '.join(ACTIVATIONS)}"
            )
        return ACTIVATIONS[value]

    def refuse(self, name: str, why: str = "is not supported") -> UnavailableError:
        """The error that refuses this setting."""
        return UnavailableError(
            f"{named(self.where)}: the setting {named(name)} = {brief(self._values.get(name), 80)} "
            f"{why}; the model would not be computed as it was meant"
        )

    def close(self, harmless: Collection[str] = ()) -> None:
        """Checks that every setting was read, has its default or is off, or changes nothing.

        Raises  UnavailableError naming the first setting that could change what is computed.
        """
        for name in sorted(self._values.keys() - self._read - set(harmless)):
            value, default = self._values[name], self._defaults.get(name)
            if value != default and not (value in _OFF and default in _OFF):
                raise self.refuse(name)


# What a tensor of weights can be made of; eight bits and fewer need scales that lie elsewhere.
_NUMBERS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class Reader:
    """A checkpoint that is being read.

    Every tensor leaves in the dtype and on the device of the model to be: as it lies in its file
    where both agree, so that nothing is copied. On the device `meta` nothing but its shape leaves, and
    no value is looked at.
    """

    def __init__(
        self, where: str, tensors: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device
    ) -> None:
        self._where, self._tensors = named(where), dict(tensors)
        self.dtype, self.device = dtype, device
        self._used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __call__(self, name: str, *shape: int) -> Tensor:
        """The tensor of this name; `shape` is what it has to have by the config.

        Raises  UnavailableError if there is none, if it has another shape or fewer numbers in its file
                than the shape says, or if it is not made of finite real numbers.
        """
        if name not in self._tensors:
            raise UnavailableError(
                f"{self._where} lacks the tensor {brief(name)}; {nearest(name, self._tensors)}"
            )
        self._used.add(name)
        tensor = self._tensors[name]
        self._check_form(name, tensor, shape)
        if self.device.type == "meta":
            return torch.empty_like(tensor, device="meta")
        if not _finite(tensor):
            raise UnavailableError(f"{self._where}: {name} holds NaN or infinite numbers")
        converted = tensor.to(device=self.device, dtype=self.dtype)
        if converted.dtype != tensor.dtype and not _finite(converted):
            raise UnavailableError(
                f"{self._where}: {name} has numbers too large for {self.dtype}; load it as float32"
            )
        return converted

    def _check_form(self, name: str, tensor: Tensor, shape: Sequence[int]) -> None:
        if tensor.dtype not in _NUMBERS:
            dtype = str(tensor.dtype).removeprefix("torch.")
            raise UnavailableError(
                f"{self._where}: {name} must hold floating-point numbers of 16, 32 or 64 bits, "
                f"got {dtype}"
            )
        if shape and tensor.shape != shape:
            raise UnavailableError(
                f"{self._where}: {name} must have shape {list(shape)} by the config, "
                f"got {brief(list(tensor.shape))}"
            )
        held = (
            tensor.untyped_storage().nbytes() // tensor.itemsize
            if tensor.layout is torch.strided and not tensor.is_meta
            else 0
        )
        if tensor.numel() > held:
            raise UnavailableError(
                f"{self._where}: {name} has the shape {brief(list(tensor.shape))} and only {held:,} "
                "numbers in its file; write it out in full (contiguous)"
            )

    def must_equal(self, name: str, other: str) -> None:
        """Counts `name` as used, since it says the same as `other`.

        Raises  UnavailableError if it does not.
        """
        self._used.add(name)
        if self._tensors[name].shape != self._tensors[other].shape:
            raise UnavailableError(
                f"{self._where}: {name} and {other} differ in shape, though the config ties them"
            )
        if self.device.type != "meta" and not torch.equal(
            self._tensors[name], self._tensors[other]
        ):
            raise UnavailableError(
                f"{self._where}: {name} differs from {other}, though the config ties them"
            )

    def ignore(self, pattern: str) -> None:
        """Counts the tensors whose whole name matches as used: buffers that hold no weights."""
        self._used |= {name for name in self._tensors if re.fullmatch(pattern, name)}

    def close(self) -> None:
        """Checks that every tensor was used.

        Raises  UnavailableError naming the first one that was not.
        """
        if unused := [name for name in self._tensors if name not in self._used]:
            raise UnavailableError(
                f"{self._where} holds {len(unused)} tensors that this architecture does not use, "
                f"the first is {brief(unused[0])}"
            )


def _finite(tensor: Tensor) -> bool:
    """Whether every number is finite: the sum tells, unless it overflows by itself."""
    total = tensor.sum(dtype=torch.promote_types(tensor.dtype, torch.float32))
    return bool(total.isfinite()) or bool(tensor.isfinite().all())


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
