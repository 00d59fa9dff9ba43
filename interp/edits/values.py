"""What an edit puts in place of a part of an activation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Union

import torch
from torch import Tensor

from interp.errors import UsageError


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
