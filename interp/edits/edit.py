"""One change of one activation, as a value."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from interp.edits.values import Add, Call, Put, Value, Where, Zero
from interp.errors import UsageError
from interp.sites import Site

_VERBS = {Zero: "zero", Put: "replace", Add: "add to", Call: "call a function on"}


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One change of one activation.

    Raises  UsageError when applied, if a head, position or unit does not exist there or the value
            has another shape than the part that it replaces.
    """

    site: Site
    value: Value
    where: Where = field(default_factory=Where)
    label: str = ""

    def __str__(self) -> str:
        if self.label:
            return self.label
        heads = self.where.heads
        name = self.site.name
        if heads is not None and self.site.layer is not None:
            layer = f"L{self.site.layer}"
            name = ",".join(f"{layer}H{head}" for head in heads) + f" {self.site.kind}"
        return " ".join(filter(None, (_VERBS[type(self.value)], name, str(self.where))))

    def apply(self, activation: Tensor) -> Tensor:
        """The activation with this edit made; the one given is left as it was."""
        part = self.index(activation)
        # In memory of its own, so that neither the value nor a function's own tensor is shared.
        edited = activation.clone()
        try:
            edited[part] = self.value.new(activation[part], self.site.axes)
            return edited
        except UsageError as error:
            raise UsageError(f"{self}: {error}") from None

    def index(self, activation: Tensor) -> tuple[Any, ...]:
        """What selects the part that changes, its axes in the activation's order.

        Raises  UsageError if there is no such part.
        """
        where, axes = self.where, self.site.axes
        chosen: dict[int, Tensor] = {}
        for indices, names in (
            (where.heads, ("head", "kv_head")),
            (where.positions, ("pos", "query")),
            (where.units, ("d_head", "d_model", "d_mlp", "d_vocab", "key")),
        ):
            if indices is None:
                continue
            found = [axis for axis, name in enumerate(axes) if name in names]
            if not found:
                raise UsageError(
                    f"{self}: {self.site.name} has no {names[0]} axis, only {' '.join(axes)}"
                )
            chosen[found[-1]] = self._checked(indices, activation, found[-1])
        if not chosen:
            return (...,)
        if len(chosen) == 1 and all(index.ndim == 1 for index in chosen.values()):
            axis, index = next(iter(chosen.items()))
            return (slice(None),) * axis + (index,)
        return self._outer(chosen, activation)

    def _checked(self, indices: Sequence[Any], activation: Tensor, axis: int) -> Tensor:
        index = torch.tensor(indices, device=activation.device)
        size, name = activation.shape[axis], self.site.axes[axis]
        if index.ndim == 2 and index.shape[0] != activation.shape[0]:
            raise UsageError(
                f"{self}: positions are given for {index.shape[0]} examples, "
                f"the run has {activation.shape[0]}"
            )
        if index.numel() == 0 or int(index.min()) < -size or int(index.max()) >= size:
            raise UsageError(
                f"{self}: {name} indices must lie in {-size}…{size - 1}, got {list(indices)}"
            )
        counted = index % size
        # Rows of positions are of one length: a prompt that has fewer may name one twice.
        if index.ndim == 1 and len(counted.unique()) < len(counted):
            raise UsageError(
                f"{self}: every {name} index may be named once (negative ones count from the end), "
                f"got {list(indices)}"
            )
        return counted

    def _outer(self, chosen: Mapping[int, Tensor], activation: Tensor) -> tuple[Tensor, ...]:
        """An index that takes the outer product of what is chosen along each axis."""
        index = []
        for axis, size in enumerate(activation.shape):
            along = chosen.get(axis, torch.arange(size, device=activation.device))
            shape = [1] * activation.ndim
            shape[axis] = along.shape[-1]
            if along.ndim == 2:
                shape[0] = along.shape[0]
            index.append(along.reshape(shape))
        return tuple(index)


def edits_of(given: Any) -> tuple[Edit, ...]:
    """One edit or several, as a tuple.

    Raises  UsageError for anything else.
    """
    if isinstance(given, Edit):
        return (given,)
    several = (
        tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    )
    for each in several:
        if not isinstance(each, Edit):
            raise UsageError(
                "expected an edit such as edits.zero(sites.z(5), heads=1), or a list of them, "
                f"got {type(each).__name__}: {each!r:.60}"
            )
    return several


def edits_digest(edits: Sequence[Edit]) -> str:
    """A checksum of what the edits do: equal for equal sites, places and values.

    Raises  UsageError for a Python function, which has no contents to compare.
    """
    digest = hashlib.sha256()
    for edit in edits:
        value = edit.value
        if isinstance(value, Call):
            raise UsageError(f"{edit}: a function cannot be compared; give an edit that is data")
        tensor = getattr(value, "tensor", None)
        scalars = (getattr(value, "scale", None), getattr(value, "shared", None))
        digest.update(repr((edit.site, edit.where, type(value).__name__, scalars)).encode())
        if tensor is not None:
            plain = tensor.detach().cpu().contiguous()
            digest.update(repr((plain.shape, plain.dtype)).encode())
            digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
