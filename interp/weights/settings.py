"""Settings of a foreign config: each is honoured, known to change nothing, or refused by name."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from interp.errors import UnavailableError, UsageError, brief, named
from interp.transformer import bounds
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
