"""Checks that a block makes of itself, and of a stored run's fields against the types that classes
declare: damage is found when a file is read and not while a page is drawn."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from interp.errors import InterpError


def require(truth: bool, message: str) -> None:
    if not truth:
        raise InterpError(message)


def assign(block: object, **values: object) -> None:
    """Sets fields of a frozen block, from within its own `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(block, name, value)


def one_of(value: str, allowed: Sequence[str], where: str) -> None:
    require(value in allowed, f"{where} expected one of {', '.join(allowed)}; got {value!r}")


def same_length(left: str, left_size: int, right: str, right_size: int) -> None:
    require(left_size == right_size, f"{left} has {left_size} entries but {right} has {right_size}")


def all_are(kind: type[Any], items: Iterable[object], where: str) -> None:
    for item in items:
        got = type(item).__name__
        require(isinstance(item, kind), f"{where} expected {kind.__name__}, got {got}")


def texts(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def array(values: Any, where: str, ndim: int, nan: bool = False) -> NDArray[Any]:
    """A read-only float array of `ndim` axes; NaN is refused unless `nan`, infinity always."""
    try:
        numbers = np.array(values, dtype=None if hasattr(values, "dtype") else np.float64)
        if numbers.dtype not in (np.float32, np.float64):
            numbers = numbers.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InterpError(f"{where} expected numbers, got {type(values).__name__}") from error
    require(
        numbers.ndim == ndim, f"{where} expected an array of {ndim} axes, got shape {numbers.shape}"
    )
    require(not np.isinf(numbers).any(), f"{where} has an infinite value; use NaN for no value")
    require(nan or not np.isnan(numbers).any(), f"{where} has NaN, which only maps may have")
    numbers.flags.writeable = False
    return numbers


def floats(values: Any, where: str) -> tuple[float, ...]:
    """`values` as finite Python floats."""
    return tuple(float(value) for value in array(list(values), where, ndim=1))


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
