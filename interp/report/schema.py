"""What the fields of a stored run may hold: checked against the types that the classes declare, so that
a damaged file is found when it is read and not while a page is drawn."""

from collections.abc import Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from interp.errors import InterpError


def checked(kind: type[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, fit to make a `kind` of.

    Raises  InterpError naming the first field whose value is of another type.
    """
    if not isinstance(fields, Mapping):
        raise InterpError(f"{kind.__name__} expected named fields, got {type(fields).__name__}")
    shape: Any = kind
    hints = _hints(shape)
    for name, value in fields.items():
        if name in hints and not fits(value, hints[name]):
            raise InterpError(
                f"{name} of {kind.__name__} expected {_spelt(hints[name])}, got {value!r:.80}"
            )
    return dict(fields)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def fits(value: Any, hint: Any) -> bool:
    """Whether the value is of the type: strictly, so that a truth value is no number."""
    if hint is Any:
        return True
    inner = get_args(hint)
    match get_origin(hint) or hint:
        case origin if origin in (Union, UnionType):
            return any(fits(value, each) for each in inner)
        case origin if origin is Literal:
            return any(type(value) is type(each) and value == each for each in inner)
        case origin if origin is Sequence:
            return isinstance(value, list | tuple) and all(fits(each, inner[0]) for each in value)
        case origin if origin is Mapping:
            return isinstance(value, Mapping) and all(
                fits(each, inner[1]) for each in value.values()
            )
        case origin if origin is float:
            return _is_number(value)
        case origin if origin is int:
            return _is_number(value) and isinstance(value, int)
        case origin:
            return isinstance(value, origin)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    # A check's value that was not finite is NaN; a whole number beyond this is no float.
    number: Any = value
    return bool(number != number or abs(number) < 1e300)


def _spelt(hint: Any) -> str:
    return getattr(hint, "__name__", "") if not get_args(hint) else str(hint).replace("typing.", "")
