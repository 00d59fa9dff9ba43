"""Numbers, names and places on the command line: what they may be is said where they are declared."""

from pathlib import Path
from typing import Any

import typer

from interp.errors import UsageError
from interp.study.ranges import Range, seen
from interp.study.settings import Setting


def whole(option: str, least: int, most: int, help: str) -> Any:
    """An option that takes a whole number of this range."""
    return _number(Setting(option[2:], "int", None, range=Range(least, most)), help)


def real(option: str, least: float, most: float, help: str) -> Any:
    """An option that takes a number of this range."""
    return _number(Setting(option[2:], "float", None, range=Range(least, most)), help)


def name(option: str, help: str) -> Any:
    """An option that takes a name, which is not empty."""
    return typer.Option(help=help, metavar="TEXT", parser=lambda word: _given(option, word))


def place(option: str, help: str) -> Any:
    """An option that takes a path, which is not empty."""
    return typer.Option(help=help, metavar="PATH", parser=lambda word: Path(_given(option, word)))


def argument(option: str, help: str, of: type = str) -> Any:
    """The same for an argument, a name or a path."""
    return typer.Argument(help=help, parser=lambda word: of(_given(option, word)))


def _number(held: Setting, help: str) -> Any:
    # Defaults go through the parser too, as they are.
    return typer.Option(
        help=f"{help} {str(held.range).capitalize()}.",
        metavar="NUMBER",
        parser=lambda word: held.parse([str(word)]),
    )


def _given(option: str, word: Any) -> str:
    text = str(word)
    if not text.strip() or "\0" in text:
        raise UsageError(f"{option} needs a name, got {seen(text)}")
    return text
