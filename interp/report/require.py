"""Checks that a block makes of itself: each returns the value in its stored form or raises."""

from collections.abc import Iterable, Sequence
from typing import Any

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
        numbers.ndim == ndim,
        f"{where} expected an array of {ndim} axes, got shape {numbers.shape}",
    )
    require(not np.isinf(numbers).any(), f"{where} has an infinite value; use NaN for no value")
    require(nan or not np.isnan(numbers).any(), f"{where} has NaN, which only maps may have")
    numbers.flags.writeable = False
    return numbers


def floats(values: Any, where: str) -> tuple[float, ...]:
    """`values` as finite Python floats."""
    return tuple(float(value) for value in array(list(values), where, ndim=1))
