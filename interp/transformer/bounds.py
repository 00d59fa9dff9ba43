"""Whether a setting from a file or a caller is of its kind and can be meant."""

import math
from numbers import Integral, Real
from typing import Any, get_args

from interp.errors import UsageError, brief

# Beyond these no model has been built, and settings that say more are damaged or hostile.
MOST, MOST_LAYERS = 2**31 - 1, 10_000
_HUGE = 1e300


def whole(name: str, value: Any, least: int = 0, most: int = MOST) -> int:
    """A size as a plain integer.

    Raises  UsageError for what is none, or is below `least` or above `most`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{name} must be an integer, got {brief(value)}")
    plain = int(value)
    if plain < least:
        what = "0 (none) or more" if least == 0 else f"at least {least}"
        raise UsageError(f"{name} must be {what}, got {brief(plain)}")
    if plain > most:
        raise UsageError(f"{name} must be at most {most:,}, got {brief(plain)}")
    return plain


def number(name: str, value: Any, least: float = -math.inf, above: float = -math.inf) -> float:
    """A finite number, as it came if it is one of Python's.

    Raises  UsageError for what is none, or is out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Real):
        raise UsageError(f"{name} must be a number, got {brief(value)}")
    plain = value if isinstance(value, int | float) else float(value)
    if not (max(least, -_HUGE) <= plain <= _HUGE and above < plain):
        bounds = f" above {above:g}" if above > -math.inf else ""
        bounds = f" of at least {least:g}" if least > -math.inf else bounds
        raise UsageError(f"{name} must be a finite number{bounds}, got {brief(plain)}")
    return plain


def flag(name: str, value: Any) -> bool:
    """True or False.

    Raises  UsageError for anything else.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be true or false, got {brief(value)}")
    return value


def one_of(name: str, value: Any, choices: Any) -> Any:
    """One of the values of a Literal.

    Raises  UsageError for another.
    """
    if value not in (known := get_args(choices)):
        raise UsageError(f"{name} must be one of {', '.join(known)}, got {brief(value)}")
    return value
