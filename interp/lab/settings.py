"""A study's settings: its keyword-only parameters, read from source, given on the command line."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interp.errors import UsageError

Value = Any  # int | float | str | bool | None, or a list of these
_SCALARS = ("int", "float", "str", "bool")
# The command line gives these to every study that names them; they are no settings of its own.
SHARED = ("seed", "n")
# Options of `interp run` itself.
RESERVED = (
    "model",
    "task",
    "device",
    "dtype",
    "revision",
    "out",
    "force",
    "dry_run",
    "debug",
    "help",
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

    @property
    def option(self) -> str:
        """How it is spelt on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def describes(self) -> str:
        """What it may be, in words."""
        what = " | ".join(map(str, self.choices)) if self.choices else self.kind
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

    def arguments(self, value: Value) -> list[str]:
        """The words of the command line that mean this value: the opposite of `parse`."""
        if self.kind == "bool":
            return [self.option if value else "--no-" + self.option[2:]]
        each = value if self.many else [value]
        return [f"{self.option}={'none' if one is None else one}" for one in each]

    def _one(self, word: str) -> Value:
        if self.optional and word.lower() == "none":
            return None
        try:
            value = _READ[self.kind](word)
        except ValueError:
            expected = "true or false" if self.kind == "bool" else f"a {self.kind}"
            raise UsageError(f"{self.option} must be {expected}, got {word!r}") from None
        if self.choices and value not in self.choices:
            known = ", ".join(map(str, self.choices))
            raise UsageError(f"{self.option} must be one of {known}, got {word!r}")
        return value


def _read_float(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(word)
    return value


def _read_bool(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise ValueError(word)
    return word.lower() == "true"


_READ: dict[str, Callable[[str], Value]] = {
    "int": int,
    "float": _read_float,
    "str": str,
    "bool": _read_bool,
}


def from_source(function: ast.FunctionDef, constants: Mapping[str, Value]) -> tuple[Setting, ...]:
    """The settings of this function; `constants` are the literals that its file gives names to.

    Raises  UsageError for a parameter without an annotation or literal default, and for a type
            that has no spelling on the command line.
    """
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if len(positional) != 2 or arguments.vararg or arguments.kwarg or arguments.defaults:
        raise UsageError(
            f"{function.name} must take (model, task, *, settings…), "
            f"got ({', '.join(each.arg for each in positional)})"
        )
    return tuple(
        _setting(argument, default, constants)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if argument.arg not in SHARED
    )


def shared(function: ast.FunctionDef) -> tuple[str, ...]:
    """Which of `seed` and `n` this function asks for."""
    return tuple(each.arg for each in function.args.kwonlyargs if each.arg in SHARED)


def _setting(
    argument: ast.arg, default: ast.expr | None, constants: Mapping[str, Value]
) -> Setting:
    if argument.arg in RESERVED or argument.arg.startswith("no_"):
        raise UsageError(f"no setting can be called {argument.arg!r}; the command line uses that")
    if argument.annotation is None or default is None:
        raise UsageError(f"the setting {argument.arg!r} needs an annotation and a default")
    value = literal(default, constants, f"the default of {argument.arg!r}")
    kind, choices, many, optional = _annotation(argument.arg, argument.annotation)
    return Setting(
        argument.arg, kind, list(value) if many and value else value, choices, many, optional
    )


def _annotation(name: str, node: ast.expr) -> tuple[str, tuple[Value, ...], bool, bool]:
    """Kind, choices, whether a list, whether None is allowed."""
    match node:
        case ast.Name(id=kind) if kind in _SCALARS:
            return kind, (), False, False
        case ast.Constant(value=str(text)):
            return _annotation(name, ast.parse(text, mode="eval").body)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            listed = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            values = tuple(literal(each, {}, f"a choice of {name!r}") for each in listed)
            if len({type(value) for value in values}) == 1 and type(values[0]) in (int, str):
                return type(values[0]).__name__, values, False, False
        case ast.Subscript(value=ast.Name(id="list" | "List" | "Sequence"), slice=inner):
            kind, choices, many, optional = _annotation(name, inner)
            if not many and not optional and kind != "bool":
                return kind, choices, True, False
        case ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None)):
            kind, choices, many, _ = _annotation(name, inner)
            return kind, choices, many, True
    raise UsageError(
        f"the setting {name!r} is {ast.unparse(node)}; expected int, float, str, bool, "
        "Literal[…], list[…] of these, or one of them | None"
    )


def literal(node: ast.expr, constants: Mapping[str, Value], what: str) -> Value:
    """The value of a literal, or of a name that the file gives to one.

    Raises  UsageError for anything that has to be computed.
    """
    if isinstance(node, ast.Name) and node.id in constants:
        return constants[node.id]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        raise UsageError(f"{what} must be a literal, got {ast.unparse(node)}") from None
