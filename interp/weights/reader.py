"""Hands out a checkpoint's tensors by name and dtype, and notices what is left over."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from interp.errors import UnavailableError, nearest


class Reader:
    """A checkpoint that is being read.

    Every tensor leaves in the dtype and on the device of the model to be: as it lies in its file
    where both agree, so that nothing is copied.
    """

    def __init__(
        self, where: str, tensors: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device
    ) -> None:
        self._where, self._tensors = where, dict(tensors)
        self._dtype, self._device = dtype, device
        self._used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __call__(self, name: str) -> Tensor:
        """The tensor of this name.

        Raises  UnavailableError if there is none, or if it is not made of finite real numbers.
        """
        if name not in self._tensors:
            raise UnavailableError(
                f"{self._where} lacks the tensor {name!r}; {nearest(name, self._tensors)}"
            )
        self._used.add(name)
        tensor = self._tensors[name]
        if not tensor.dtype.is_floating_point:
            raise UnavailableError(
                f"{self._where}: {name} must hold floating-point numbers, got {tensor.dtype}"
            )
        if not _finite(tensor):
            raise UnavailableError(f"{self._where}: {name} holds NaN or infinite numbers")
        converted = tensor.to(device=self._device, dtype=self._dtype)
        if converted.dtype != tensor.dtype and not _finite(converted):
            raise UnavailableError(
                f"{self._where}: {name} has numbers too large for {self._dtype}; load it as float32"
            )
        return converted

    def must_equal(self, name: str, other: str) -> None:
        """Counts `name` as used, since it says the same as `other`.

        Raises  UnavailableError if it does not.
        """
        self._used.add(name)
        if not torch.equal(self._tensors[name], self._tensors[other]):
            raise UnavailableError(
                f"{self._where}: {name} differs from {other}, though the config ties them"
            )

    def ignore(self, pattern: str) -> None:
        """Counts the tensors whose whole name matches as used: buffers that hold no weights."""
        self._used |= {name for name in self._tensors if re.fullmatch(pattern, name)}

    def close(self) -> None:
        """Checks that every tensor was used.

        Raises  UnavailableError naming the first one that was not.
        """
        if unused := [name for name in self._tensors if name not in self._used]:
            raise UnavailableError(
                f"{self._where} holds {len(unused)} tensors that this architecture does not use, "
                f"the first is {unused[0]!r}"
            )


def _finite(tensor: Tensor) -> bool:
    """Whether every number is finite: the sum tells, unless it overflows by itself."""
    total = tensor.sum(dtype=torch.promote_types(tensor.dtype, torch.float32))
    return bool(total.isfinite()) or bool(tensor.isfinite().all())
