"""Settings of a foreign config: each is honoured, known to change nothing, or refused by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from interp.errors import UnavailableError
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

    def needed(self, name: str, kind: type = int) -> Any:
        """The value of a setting that has to be there.

        Raises  UnavailableError if it is not, or is of another kind.
        """
        value = self(name)
        number = isinstance(value, int) and not isinstance(value, bool)
        if not (isinstance(value, kind) or (kind is float and number)) or isinstance(value, bool):
            raise UnavailableError(
                f"{self.where}: {name} must be {'a number' if kind is float else 'an integer'}, "
                f"got {value!r}"
            )
        return value

    def activation(self, name: str) -> Activation:
        """The activation function that a setting names.

        Raises  UnavailableError for one that the MLP does not have.
        """
        value = self(name)
        if value not in ACTIVATIONS:
            raise UnavailableError(
                f"{self.where}: {name} {value!r} is not supported; "
                f"supported are {', '.join(ACTIVATIONS)}"
            )
        return ACTIVATIONS[value]

    def refuse(self, name: str, why: str = "is not supported") -> UnavailableError:
        """The error that refuses this setting."""
        value = repr(self._values.get(name))
        return UnavailableError(
            f"{self.where}: the setting {name} = {value[:80]} {why}; "
            "the model would not be computed as it was meant"
        )

    def close(self, harmless: Collection[str]) -> None:
        """Checks that every setting was read, has its default or is off, or changes nothing.

        Raises  UnavailableError naming the first setting that could change what is computed.
        """
        for name in sorted(self._values.keys() - self._read - set(harmless)):
            value, default = self._values[name], self._defaults.get(name)
            if value != default and not (value in _OFF and default in _OFF):
                raise self.refuse(name)
