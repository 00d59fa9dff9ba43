"""The words of the command line: what options may be, said where they are declared; and what is said after
`interp run`: names of studies and settings of their own, in any order."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from interp.errors import UsageError, brief, named, nearest
from interp.study.ranges import SHARED, Range, seen
from interp.study.registry import Registry, Study
from interp.study.settings import RESERVED, Setting

Given = dict[str, list[str]]


def split(words: Sequence[str], registry: Registry) -> tuple[list[str], Given]:
    """The names of studies, and the words given for each setting; a list takes all words up to the
    next option or study.

    Raises  UsageError for an option that no study has, and for one without a value.
    """
    named = [study for name, study in registry.studies.items() if name in words]
    known = _known(named or registry.studies.values())
    names: list[str] = []
    given: Given = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            names.append(word)
            continue
        option, equals, value = word.partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if not equals and name.startswith("no_") and _is_flag(known.get(name[3:])):
            name, value = name[3:], "false"
        elif not equals and _is_flag(known.get(name)):
            value = "true"
        elif name not in known or not option.startswith("--"):
            general = [each.replace("_", "-") for each in (*RESERVED, *SHARED)]
            options = [f"--{each}" for each in general] + [each.option for each in known.values()]
            raise UsageError(
                f"no option is called {brief(option)} here; {nearest(option, options)}"
            )
        elif not equals:
            if not rest:
                raise UsageError(f"{option} needs a value")
            value = rest.pop(0)
        given.setdefault(name, []).append(value)
        # A list goes on until something begins that is no value of it.
        ends = ("all", *registry.studies)
        many = name in known and known[name].many
        while many and rest and not rest[0].startswith("-") and rest[0] not in ends:
            given[name].append(rest.pop(0))
    return names, given


def values(study: Study, given: Given) -> dict[str, Any]:
    """The study's settings: those given, and the defaults of the others.

    Raises  UsageError for a value that the setting cannot be.
    """
    return {
        each.name: each.parse(given[each.name]) if each.name in given else each.default
        for each in study.settings
    }


def check_used(given: Given, studies: Sequence[Study]) -> None:
    """Passes if every setting given is one of some study that will run.

    Raises  UsageError otherwise.
    """
    known = _known(studies)
    for name in given:
        if name not in known:
            names = ", ".join(study.name for study in studies)
            options = [each.option for each in known.values()]
            hint = nearest(f"--{name}", options) if options else "it has no settings"
            option = named(f"--{name.replace('_', '-')}")
            raise UsageError(f"{names} has no setting {option}; {hint}")


def _known(studies: Iterable[Study]) -> dict[str, Setting]:
    return {setting.name: setting for study in studies for setting in study.settings}


def _is_flag(setting: Setting | None) -> bool:
    return setting is not None and setting.kind == "bool"


_LEAST, _MOST = 1 << 10, 1 << 50
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def n_bytes(text: str | None) -> int | None:
    """The number of bytes that `2G`, `500M` or `1000000` says; None stays None.

    Raises  UsageError for anything else.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    size = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not _LEAST <= size <= _MOST:
        raise UsageError(
            f"--memory expects a size from 1K to 1024T, such as 2G or 500M, got {seen(text)}"
        )
    return int(size)


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
