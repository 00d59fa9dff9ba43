"""Which part of an activation an edit changes, and what it puts there."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union

import torch
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


@dataclass(frozen=True, slots=True)
class Zero:
    """Put zeros."""

    def check(self, shape: Sequence[int], axes: Sequence[str]) -> None:
        """Zeros fit everywhere."""

    def new(self, old: Tensor, axes: Sequence[str]) -> Tensor:
        return torch.zeros_like(old)


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """Put a tensor that has exactly the shape of the part changed, or, when it holds one value for
    all examples (`shared`), that shape without the batch axis."""

    tensor: Tensor
    shared: bool = False

    def check(self, shape: Sequence[int], axes: Sequence[str]) -> None:
        """Raises a UsageError unless the value fits a part of this shape."""
        wanted = list(shape[1:] if self.shared else shape)
        if list(self.tensor.shape) != wanted:
            spelt = " ".join(axes[1:] if self.shared else axes)
            raise UsageError(
                f"expected a value of shape {wanted} ({spelt}), got {list(self.tensor.shape)}; "
                "shapes are never broadcast: expand the value if that is what you mean"
            )

    def new(self, old: Tensor, axes: Sequence[str]) -> Tensor:
        self.check(old.shape, axes)
        return self.tensor.to(old).expand_as(old)


@dataclass(frozen=True, slots=True, eq=False)
class Add:
    """Add `scale` times a tensor: of the shape of the part changed, or one vector along its last axis
    that is added everywhere."""

    tensor: Tensor
    scale: float = 1.0

    def check(self, shape: Sequence[int], axes: Sequence[str]) -> None:
        """Raises a UsageError unless the value fits a part of this shape."""
        whole = list(shape)
        if list(self.tensor.shape) not in (whole, whole[-1:]):
            raise UsageError(
                f"expected a vector of shape {whole[-1:]} ({axes[-1]}) or a value of shape "
                f"{whole} ({' '.join(axes)}) to add, got {list(self.tensor.shape)}"
            )

    def new(self, old: Tensor, axes: Sequence[str]) -> Tensor:
        self.check(old.shape, axes)
        return old + self.scale * self.tensor.to(old)


@dataclass(frozen=True, slots=True)
class Call:
    """Put what a Python function returns for the part changed, which has to be of its shape."""

    function: Callable[[Tensor], Tensor]

    def check(self, shape: Sequence[int], axes: Sequence[str]) -> None:
        """What a function returns is known when it has been called."""

    def new(self, old: Tensor, axes: Sequence[str]) -> Tensor:
        new = self.function(old.clone())
        if not isinstance(new, Tensor) or new.shape != old.shape:
            came = list(new.shape) if isinstance(new, Tensor) else type(new).__name__
            raise UsageError(
                f"the function of an edit must return a tensor of shape {list(old.shape)} "
                f"({' '.join(axes)}), got {came}"
            )
        return new.to(old)


Value = Union[Zero, Put, Add, Call]


def numbers(value: Any, what: str) -> Tensor:
    """The value, if it is a tensor of real numbers."""
    if not isinstance(value, Tensor):
        raise UsageError(f"expected a tensor {what}, got {type(value).__name__}: {value!r:.60}")
    if value.is_complex() or value.is_meta:
        came = "one on the meta device" if value.is_meta else str(value.dtype)
        raise UsageError(f"expected a tensor of real numbers {what}, got {came}")
    return value


def number(scale: Any) -> float:
    """The scale, if it is a real number."""
    plain = scale.item() if isinstance(scale, Tensor) and scale.numel() == 1 else scale
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        raise UsageError(f"scale must be a number, got {scale!r:.60}")
    return plain
