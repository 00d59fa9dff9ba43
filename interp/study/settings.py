"""A study's settings: its keyword-only parameters, with what they may be.

One reading of a signature serves the command line, which takes it from source without importing the file
(`interp.study.source`), and the study itself when it is called.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from interp.errors import UsageError
from interp.study.ranges import NAMED, SHARED, USUAL, Range, seen

Value = Any  # int | float | str | bool | None, or a list of these
_SCALARS = (int, float, str, bool)
_LONGEST_DEFAULT = 100_000
# Options of `interp run` itself.
RESERVED = (
    *("model", "task", "device", "dtype", "revision", "out", "force", "dry_run", "debug", "memory"),
    *("bos", "ungated", "help"),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name, what it may be, and what it is when nothing is said."""

    name: str
    kind: str
    default: Value
    choices: tuple[Value, ...] = ()
    many: bool = False
    optional: bool = False
    range: Range | None = None

    @property
    def option(self) -> str:
        """How it is spelt on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def describes(self) -> str:
        """What it may be, in words."""
        what = " | ".join(map(str, self.choices)) if self.choices else self.kind
        if self.range is not None:
            what += f" {self.range}"
        return f"{what}, …" if self.many else what

    def parse(self, raw: Sequence[str]) -> Value:
        """The value that these words of the command line mean.

        Numbers of a list may share a word (`--layers 1,2,3`); words come one after the other
        (`--among ewe manx`).

        Raises  UsageError for what the setting cannot be.
        """
        if not self.many:
            if len(raw) > 1:
                raise UsageError(f"{self.option} takes one value and was given {len(raw)} times")
            return self._one(raw[0])
        words = raw if self.kind == "str" else [part for word in raw for part in word.split(",")]
        return [self._one(word) for word in words]

    def fit(self, value: Value, model: Any, task: Any, name: str = "") -> tuple[Value, list[str]]:
        """The value for this model and task, and what the report says where it is less than what was
        asked for.

        Raises  UsageError for a value that the setting cannot be, under its `name`.
        """
        name = name or self.name
        if value is None and self.optional:
            return None, []
        if not self.many:
            return self._fit(value, model, task, name)
        if not isinstance(value, list | tuple):
            raise UsageError(f"{name} must be a list, got {seen(value)}")
        if not value and self.kind in USUAL:
            raise UsageError(f"{name} needs at least one number, got none")
        found = [self._fit(each, model, task, name) for each in value]
        return [each for each, _ in found], [note for _, notes in found for note in notes]

    def arguments(self, value: Value) -> list[str]:
        """The words of the command line that mean this value: the opposite of `parse`."""
        if self.kind == "bool":
            return [self.option if value else "--no-" + self.option[2:]]
        each = value if self.many else [value]
        return [f"{self.option}={'none' if one is None else one}" for one in each]

    def _one(self, word: str) -> Value:
        if self.optional and word.lower() == "none":
            return None
        read, expected = _READ[self.kind]
        try:
            value = read(word)
        except (KeyError, ValueError):
            raise UsageError(f"{self.option} must be {expected}, got {seen(word)}") from None
        # Nothing is something only where it is what is usual.
        if self.kind == "str" and not value and (self.many or self.default != ""):
            raise UsageError(
                f"{self.option} must not be empty{'; none for nothing' if self.optional else ''}"
            )
        self.check(value, self.option)
        return value

    def check(self, value: Value, name: str) -> None:
        """Passes for one of the choices, for a number within the range, and for what is neither.

        Raises  UsageError otherwise.
        """
        if self.choices and value not in self.choices:
            known = ", ".join(map(str, self.choices))
            raise UsageError(f"{name} must be one of {known}, got {seen(value)}")
        if self.kind in USUAL:
            (self.range or USUAL[self.kind]).check(name, value, self.kind)

    def _fit(self, value: Value, model: Any, task: Any, name: str) -> tuple[Value, list[str]]:
        self.check(value, name)
        if self.range is None:
            return value, []
        fitted, note = self.range.fit(name, value, model, task)
        return fitted, [note] if note else []


# How the words of the command line are read, and what they must be.
_READ: dict[str, tuple[Callable[[str], Value], str]] = {
    "int": (int, "an int"),
    "float": (float, "a float"),
    "str": (str, "a text"),
    "bool": (lambda word: {"true": True, "false": False}[word.lower()], "true or false"),
}


def of(signature: inspect.Signature, function: str) -> tuple[Setting, ...]:
    """The settings of a function of this name and signature, `seed` and `n` among them.

    Raises  UsageError for another signature than (model, task, *, settings…), for a setting without an
            annotation or default, and for a type that has no spelling on the command line.
    """
    positional = [
        each for each in signature.parameters.values() if each.kind is not each.KEYWORD_ONLY
    ]
    usual = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    if len(positional) != 2 or any(
        each.kind not in usual or each.default is not each.empty for each in positional
    ):
        raise UsageError(
            f"{function} must take (model, task, *, settings…), "
            f"got ({', '.join(each.name for each in positional)})"
        )
    return tuple(
        _setting(each) for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY
    )


def _setting(parameter: inspect.Parameter) -> Setting:
    name, default = parameter.name, parameter.default
    if name in RESERVED or name.startswith("no_"):
        raise UsageError(f"no setting can be called {name!r}; the command line uses that")
    annotation = SHARED.get(name, parameter.annotation)
    if default is parameter.empty and name in SHARED:
        default = None
    if parameter.empty in (annotation, default):
        raise UsageError(f"the setting {name!r} needs an annotation and a default")
    found = _kind(name, annotation)
    if found is None:
        raise UsageError(
            f"the setting {name!r} is {inspect.formatannotation(parameter.annotation)}; expected int, "
            f"float, str, bool, Literal[…], {', '.join(NAMED)}, Annotated[int, Range(…)], list[…] of "
            "these, or one of them | None"
        )
    default = list(default) if found.many and default else default
    said = f"the default of {name!r}"
    for each in (default or []) if found.many else [default]:
        if each is not None:
            found.check(each, said)
    _check_kept(default, said)
    return replace(found, default=default)


def _kind(name: str, annotation: Any) -> Setting | None:
    """The setting that this annotation allows, without its default; None if it allows none."""
    if annotation in _SCALARS:
        return Setting(name, annotation.__name__, None)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal and {type(each) for each in inner} in ({int}, {str}):
        return Setting(name, type(inner[0]).__name__, None, inner)
    found = _kind(name, inner[0]) if inner and origin is not Literal else None
    if found is None:
        return None
    if origin is Annotated and found.kind in USUAL and not found.choices:
        held = next((mark for mark in inner[1:] if isinstance(mark, Range)), None)
        return replace(found, range=held)
    if origin in (list, Sequence) and not (found.many or found.optional or found.kind == "bool"):
        return replace(found, many=True)
    if origin in (Union, UnionType) and inner[1:] == (type(None),):
        return replace(found, optional=True)
    return None


def _check_kept(default: Value, said: str) -> None:
    """Raises UsageError for a default that no list could show and no result could keep."""
    try:
        length = len(json.dumps(default, allow_nan=False)) + len(repr(default))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{said} cannot be kept: {error}") from None
    if length > _LONGEST_DEFAULT:
        raise UsageError(f"{said} has more than {_LONGEST_DEFAULT} characters")


def fitted(
    settings: Sequence[Setting], values: Mapping[str, Value], model: Any, task: Any
) -> tuple[dict[str, Value], list[str]]:
    """The values for this model and task, and what the report says about those that are less than
    what was asked for.

    Raises  UsageError for a value that its setting cannot be.
    """
    found, notes = dict(values), []
    for each in settings:
        if each.name in values:
            found[each.name], told = each.fit(values[each.name], model, task)
            notes += told
    return found, notes
