"""Interventions as values: at this site, for these heads and positions, put this.

An `Edit` is data, so it can be planned, batched, hashed and printed; `call` makes one out of a Python
function, which runs but cannot be planned. An edit never changes the activation it is given: it
returns a new one, so nothing that was read before can be reached by it.

    edits.zero(sites.z(9), heads=6)
    edits.patch(sites.resid_pre(4), clean_run.cache, positions=[10])
    edits.add(sites.resid_post(12), steering_vector, scale=4.0)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import torch
from torch import Tensor

from interp.errors import UsageError
from interp.sites import Site, parse

# Under this name an activation that a run kept of padded prompts knows which of its positions are real.
REAL = "interp_real"
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
            name = ",".join(f"L{self.site.layer}H{head}" for head in heads) + f" {self.site.kind}"
        return " ".join(filter(None, (_VERBS[type(self.value)], name, str(self.where))))

    def apply(self, activation: Tensor) -> Tensor:
        """The activation with this edit made; the one given is left as it was."""
        part = self._index(activation)
        # In memory of its own, so that neither the value nor a function's own tensor is shared.
        edited = activation.clone()
        try:
            edited[part] = self.value.new(activation[part], self.site.axes)
            return edited
        except UsageError as error:
            raise UsageError(f"{self}: {error}") from None

    def _index(self, activation: Tensor) -> tuple[Any, ...]:
        """What selects the part that changes, its axes in the activation's order."""
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


def _plain(given: Any) -> Any:
    """Tensors and other sequences as lists."""
    if isinstance(given, Tensor):
        return given.tolist()
    several = isinstance(given, Iterable) and not isinstance(given, str)
    return [_plain(each) for each in given] if several else given


def _row(given: Any) -> tuple[int, ...]:
    """One index or several, as a tuple."""
    plain = _plain(given)
    several = plain if isinstance(plain, list) else [plain]
    if any(isinstance(each, bool) or not hasattr(each, "__index__") for each in several):
        raise UsageError(f"expected one index or a list of them (whole numbers), got {given!r}")
    return tuple(map(int, several))


def _once(given: Any) -> tuple[int, ...]:
    """The same, each named once."""
    indices = _row(given)
    if len({*indices}) < len(indices):
        raise UsageError(f"every index may be named once, got {list(indices)}")
    return indices


def _numbers(value: Any, what: str) -> Tensor:
    """The value, if it is a tensor of real numbers."""
    if not isinstance(value, Tensor):
        raise UsageError(f"expected a tensor {what}, got {type(value).__name__}: {value!r:.60}")
    if value.is_complex() or value.is_meta:
        came = "one on the meta device" if value.is_meta else str(value.dtype)
        raise UsageError(f"expected a tensor of real numbers {what}, got {came}")
    return value


def _rows(given: Any) -> tuple[int, ...] | tuple[tuple[int, ...], ...]:
    """Positions as a tuple, or a tuple of them for each example."""
    plain = _plain(given)
    if not isinstance(plain, list) or not any(isinstance(each, list) for each in plain):
        return _once(plain)
    if len({len(each) if isinstance(each, list) else -1 for each in plain}) > 1:
        raise UsageError(f"expected as many positions for every example, got {given!r}")
    return tuple(map(_row, plain))


def _number(scale: Any) -> float:
    """The scale, if it is a real number."""
    plain = scale.item() if isinstance(scale, Tensor) and scale.numel() == 1 else scale
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        raise UsageError(f"scale must be a number, got {scale!r:.60}")
    return plain


def _where(heads: Index, positions: Positions, units: Index) -> Where:
    return Where(
        None if heads is None else _once(heads),
        None if positions is None else _rows(positions),
        None if units is None else _once(units),
    )


def zero(
    site: Site | str, heads: Index = None, positions: Positions = None, units: Index = None
) -> Edit:
    """Zeros at this part of the site."""
    return Edit(parse(site), Zero(), _where(heads, positions, units))


def put(
    site: Site | str,
    value: Tensor,
    heads: Index = None,
    positions: Positions = None,
    units: Index = None,
) -> Edit:
    """This value at this part of the site: a tensor of exactly that part's shape."""
    where = _where(heads, positions, units)
    for row in where.positions or ():
        if isinstance(row, tuple):
            _once(row)
    return Edit(parse(site), Put(_numbers(value, "to put")), where)


def patch(
    site: Site | str,
    source: Mapping[Any, Tensor],
    heads: Index = None,
    positions: Positions = None,
    units: Index = None,
) -> Edit:
    """The same part of another run's activation, from that run's cache.

    Raises  UsageError if the source did not keep the site.
    """
    site = parse(site)
    taken = Edit(site, Zero(), _where(heads, positions, units))
    activation = _numbers(source[site], "to take from")
    return Edit(site, Put(activation[taken._index(activation)]), taken.where)


def freeze(site: Site | str, base: Mapping[Any, Tensor]) -> Edit:
    """The whole site held at what it was in the base run, whatever else changes."""
    site = parse(site)
    return Edit(site, Put(base[site]), label=f"freeze {site.name}")


def mean(
    site: Site | str,
    reference: Tensor,
    over: str,
    heads: Index = None,
    positions: Positions = None,
    units: Index = None,
    *,
    real: Tensor | None = None,
) -> Edit:
    """The reference activation's mean over its batch axis, position by position.

    `reference` is the site's activation on the reference prompts, `over` names them in words
    ("32 ABC prompts"): a mean ablation means nothing without what it is a mean of. Padding does not
    count: `real` `[batch pos]` is False there; an activation just as a run kept it knows that itself.

    Raises  UsageError for a reference of no prompts, or of none that is real where the edit reaches.
    """
    site = parse(site)
    where = _where(heads, positions, units)
    if _numbers(reference, "to take the mean of").ndim != len(site.axes) or not len(reference):
        raise UsageError(
            f"expected the activation of {site.name} ({' '.join(site.axes)}) on at least one reference "
            f"prompt, got shape {list(reference.shape)}"
        )
    real = getattr(reference, REAL, None) if real is None else real
    # Positions given for each example need an average for each; otherwise one serves them all.
    rows = [row for row in where.positions or () if isinstance(row, tuple)]
    mean = reference.mean(0) if real is None else _real_mean(site, reference, real)
    average = mean.expand(len(rows) or 1, *reference.shape[1:])
    part = average[Edit(site, Zero(), where)._index(average)]
    if real is not None and bool(part.isnan().any()) and not bool(reference.isnan().any()):
        raise UsageError(
            f"the mean over {over} of {site.name} has positions that are padding in every one of "
            f"{len(reference)} reference prompts; name positions= that some of them have"
        )
    edit = Edit(site, Put(part) if rows else Put(part[0], shared=True), where)
    return Edit(edit.site, edit.value, edit.where, label=f"{edit} by its mean over {over}")


def _real_mean(site: Site, reference: Tensor, real: Tensor) -> Tensor:
    """The mean over the prompts that are real at a position; NaN where none is."""
    axes = [axis for axis, name in enumerate(site.axes) if name in ("pos", "query")]
    wanted = (len(reference), reference.shape[axes[0]])
    if not isinstance(real, Tensor) or tuple(real.shape) != wanted:
        came = list(real.shape) if isinstance(real, Tensor) else type(real).__name__
        raise UsageError(f"real must have the shape {list(wanted)} (batch pos), got {came}")
    shape = [1] * reference.ndim
    shape[0], shape[axes[0]] = wanted
    counted = real.to(reference.device).bool().reshape(shape)
    return reference.where(counted, 0).sum(0) / counted.sum(0)


def add(
    site: Site | str,
    vector: Tensor,
    scale: float = 1.0,
    heads: Index = None,
    positions: Positions = None,
    units: Index = None,
) -> Edit:
    """`scale` times a vector added: one along the last axis, or a tensor of the part's shape."""
    added = Add(_numbers(vector, "to add"), _number(scale))
    return Edit(parse(site), added, _where(heads, positions, units))


def call(
    site: Site | str,
    function: Callable[[Tensor], Tensor],
    heads: Index = None,
    positions: Positions = None,
    units: Index = None,
) -> Edit:
    """What a Python function makes of this part of the site. It is given a copy and may change it."""
    if not callable(function):
        raise UsageError(f"expected a function of the activation, got {function!r:.60}")
    return Edit(parse(site), Call(function), _where(heads, positions, units))


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
