"""Every error that a user can cause, with the exit code that the command line gives it."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class InterpError(Exception):
    """An experiment or a computation failed; the message says what to do."""

    exit_code = 1


class UsageError(InterpError):
    """What was asked for cannot be meant: a wrong name, shape, option or file."""

    exit_code = 2


class UnavailableError(InterpError):
    """A model or data that cannot be had, or that this project refuses to load."""

    exit_code = 3


class NotApplicable(InterpError):
    """The experiment has nothing to say about this model or task. Not a failure: verdict `not run`."""

    exit_code = 0


def nearest(name: str, names: Iterable[str], limit: int = 4) -> str:
    """The end of an error message that lists the known names nearest to `name`."""
    known = list(names)
    # Its time grows with the square of the length, and no name is that long.
    near = get_close_matches(name[:80], known, n=limit, cutoff=0.4)
    if near:
        return f"nearest names: {', '.join(named(each, 60) for each in near)}"
    shown = ", ".join(named(each, 30) for each in known[:12])
    return f"known names: {shown}{' …' if len(known) > 12 else ''}"


def named(path: Path | str, most: int = 120) -> str:
    """A path or a name as an error gives it: what is no printable character is escaped, and of a long
    one the end is left."""
    shown = _printable(str(path))
    return shown if len(shown) <= most else f"…{shown[1 - most :]}"


def reason(error: BaseException, most: int = 160) -> str:
    """What another library says went wrong, on one line: of a long text the beginning."""
    said = _printable(" ".join(str(error)[: 4 * most].split())) or type(error).__name__
    return said if len(said) <= most else f"{said[:most]}…"


def brief(value: object, most: int = 60) -> str:
    """A value as an error shows it, in Python's spelling: of what is long the beginning."""
    try:
        shown = repr(value[: most + 1] if isinstance(value, str) else value)
    except (RecursionError, ValueError):  # nested deeply, or a number of thousands of digits
        shown = f"a {type(value).__name__}"
    return shown if len(shown) <= most + 2 else f"{shown[:most]}…"


def _printable(text: str) -> str:
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode()
        for each in text
    )
