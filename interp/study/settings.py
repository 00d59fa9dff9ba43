"""A study's settings: its keyword-only parameters, read from source, given on the command line."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from interp.errors import UsageError
from interp.study.ranges import NAMED, USUAL, Range, seen

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
    "memory",
    "bos",
    "ungated",
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

    def check_fit(self, value: Value, model: Any, task: Any) -> None:
        """Passes if this model and task have what the value names.

        Raises  UsageError otherwise.
        """
        if self.range is not None and value is not None:
            for each in value if self.many else [value]:
                self.range.fit(self.option, each, model, task)

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
            raise UsageError(
                f"{self.option} must be {_EXPECTED[self.kind]}, got {seen(word)}"
            ) from None
        # Nothing is something only where it is what is usual.
        if self.kind == "str" and not value and (self.many or self.default != ""):
            raise UsageError(
                f"{self.option} must not be empty{'; none for nothing' if self.optional else ''}"
            )
        if self.choices and value not in self.choices:
            known = ", ".join(map(str, self.choices))
            raise UsageError(f"{self.option} must be one of {known}, got {seen(word)}")
        self.check(value, self.option)
        return value

    def check(self, value: Value, name: str) -> None:
        """Passes for whatever is no number, and for a number within the range.

        Raises  UsageError otherwise.
        """
        if self.kind in USUAL and value is not None:
            (self.range or USUAL[self.kind]).check(name, value, self.kind)


def _read_bool(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise ValueError(word)
    return word.lower() == "true"


_READ: dict[str, Callable[[str], Value]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": _read_bool,
}
_EXPECTED = {"int": "an int", "float": "a float", "bool": "true or false"}


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
    found = _annotation(argument.arg, argument.annotation)
    value = list(value) if found.many and value else value
    for each in value if found.many and value else [] if found.many else [value]:
        found.check(each, f"the default of {argument.arg!r}")
    return replace(found, default=value)


def _annotation(name: str, node: ast.expr) -> Setting:
    """The setting that this annotation allows, without its default."""
    match node:
        case ast.Name(id=kind) if kind in _SCALARS:
            return Setting(name, kind, None)
        case ast.Name(id=alias) if alias in NAMED:
            kind, held = get_args(NAMED[alias])
            return Setting(name, kind.__name__, None, range=held)
        case ast.Constant(value=str(text)):
            return _annotation(name, ast.parse(text, mode="eval").body)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            listed = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            values = tuple(literal(each, {}, f"a choice of {name!r}") for each in listed)
            if len({type(value) for value in values}) == 1 and type(values[0]) in (int, str):
                return Setting(name, type(values[0]).__name__, None, values)
        case ast.Subscript(
            value=ast.Name(id="Annotated"),
            slice=ast.Tuple(elts=[inner, ast.Call(func=ast.Name(id="Range")) as held]),
        ):
            found = _annotation(name, inner)
            if found.kind in USUAL and not found.choices:
                return replace(found, range=_range(name, held))
        case ast.Subscript(value=ast.Name(id="list" | "List" | "Sequence"), slice=inner):
            found = _annotation(name, inner)
            if not found.many and not found.optional and found.kind != "bool":
                return replace(found, many=True)
        case ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None)):
            return replace(_annotation(name, inner), optional=True)
    raise UsageError(
        f"the setting {name!r} is {ast.unparse(node)}; expected int, float, str, bool, "
        f"Literal[…], {', '.join(NAMED)}, Annotated[int, Range(…)], list[…] of these, or one of "
        "them | None"
    )


def _range(name: str, call: ast.Call) -> Range:
    """The range that this call makes.

    Raises  UsageError for one that cannot be made, or has to be computed.
    """
    what = f"the range of {name!r}"
    given = [literal(each, {}, what) for each in call.args]
    named = {each.arg: literal(each.value, {}, what) for each in call.keywords if each.arg}
    try:
        return Range(*given, **named)
    except TypeError as error:
        raise UsageError(f"{what}: {error}") from None


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
