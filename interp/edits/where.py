"""Which part of an activation an edit changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union

from torch import Tensor

from interp.errors import UsageError

Index = Union[int, Sequence[int], Tensor, None]
Positions = Union[int, Sequence[int], Sequence[Sequence[int]], Tensor, None]


@dataclass(frozen=True, slots=True)
class Where:
    """The part of an activation that an edit changes; None means all along that axis.

    `positions` are the same for every example, or, as a tuple of tuples, given for each. On scores
    and pattern they are positions of the query. `units` are entries of the last axis: neurons,
    dimensions of a head or of the stream.
    """

    heads: tuple[int, ...] | None = None
    positions: tuple[int, ...] | tuple[tuple[int, ...], ...] | None = None
    units: tuple[int, ...] | None = None

    def __str__(self) -> str:
        parts = []
        if self.positions is not None:
            parts.append("at position " + ",".join(map(str, self.positions)))
        if self.units is not None:
            parts.append("in unit " + ",".join(map(str, self.units)))
        return " ".join(parts)


def where_of(heads: Index, positions: Positions, units: Index) -> Where:
    """The part that these indices name.

    Raises  UsageError for what is no index, and for one named twice.
    """
    return Where(
        None if heads is None else once(heads),
        None if positions is None else _rows(positions),
        None if units is None else once(units),
    )


def once(given: Any) -> tuple[int, ...]:
    """One index or several, each named once."""
    indices = _row(given)
    if len({*indices}) < len(indices):
        raise UsageError(f"every index may be named once, got {list(indices)}")
    return indices


def _rows(given: Any) -> tuple[int, ...] | tuple[tuple[int, ...], ...]:
    """Positions as a tuple, or a tuple of them for each example."""
    plain = _plain(given)
    if not isinstance(plain, list) or not any(isinstance(each, list) for each in plain):
        return once(plain)
    if len({len(each) if isinstance(each, list) else -1 for each in plain}) > 1:
        raise UsageError(f"expected as many positions for every example, got {given!r}")
    return tuple(map(_row, plain))


def _row(given: Any) -> tuple[int, ...]:
    """One index or several, as a tuple."""
    plain = _plain(given)
    several = plain if isinstance(plain, list) else [plain]
    if any(isinstance(each, bool) or not hasattr(each, "__index__") for each in several):
        raise UsageError(f"expected one index or a list of them (whole numbers), got {given!r}")
    return tuple(map(int, several))


def _plain(given: Any) -> Any:
    """Tensors and other sequences as lists."""
    if isinstance(given, Tensor):
        return given.tolist()
    several = isinstance(given, Iterable) and not isinstance(given, str)
    return [_plain(each) for each in given] if several else given
