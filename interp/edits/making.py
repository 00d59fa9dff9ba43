"""The edits that one makes: zeros, a value, another run's, a vector added, a function's."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from interp.edits.edit import Edit
from interp.edits.values import (
    Add,
    Call,
    Index,
    Positions,
    Put,
    Zero,
    number,
    numbers,
    once,
    where_of,
)
from interp.errors import UsageError
from interp.sites import Site, parse


def zero(
    site: Site | str, heads: Index = None, positions: Positions = None, units: Index = None
) -> Edit:
    """Zeros at this part of the site."""
    return Edit(parse(site), Zero(), where_of(heads, positions, units))


def put(
    site: Site | str,
    value: Tensor,
    heads: Index = None,
    positions: Positions = None,
    units: Index = None,
) -> Edit:
    """This value at this part of the site: a tensor of exactly that part's shape."""
    where = where_of(heads, positions, units)
    for row in where.positions or ():
        if isinstance(row, tuple):
            once(row)
    return Edit(parse(site), Put(numbers(value, "to put")), where)


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
    taken = Edit(site, Zero(), where_of(heads, positions, units))
    activation = numbers(source[site], "to take from")
    return Edit(site, Put(activation[taken.index(activation)]), taken.where)


def freeze(site: Site | str, base: Mapping[Any, Tensor]) -> Edit:
    """The whole site held at what it was in the base run, whatever else changes."""
    site = parse(site)
    return Edit(site, Put(base[site]), label=f"freeze {site.name}")


def add(
    site: Site | str,
    vector: Tensor,
    scale: float = 1.0,
    heads: Index = None,
    positions: Positions = None,
    units: Index = None,
) -> Edit:
    """`scale` times a vector added: one along the last axis, or a tensor of the part's shape."""
    added = Add(numbers(vector, "to add"), number(scale))
    return Edit(parse(site), added, where_of(heads, positions, units))


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
    return Edit(parse(site), Call(function), where_of(heads, positions, units))


# Under this name an activation that a run kept of padded prompts knows which of its positions are real.
REAL = "interp_real"


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
    where = where_of(heads, positions, units)
    if numbers(reference, "to take the mean of").ndim != len(site.axes) or not len(reference):
        raise UsageError(
            f"expected the activation of {site.name} ({' '.join(site.axes)}) on at least one reference "
            f"prompt, got shape {list(reference.shape)}"
        )
    real = getattr(reference, REAL, None) if real is None else real
    # Positions given for each example need an average for each; otherwise one serves them all.
    rows = [row for row in where.positions or () if isinstance(row, tuple)]
    mean = reference.mean(0) if real is None else _real_mean(site, reference, real)
    average = mean.expand(len(rows) or 1, *reference.shape[1:])
    part = average[Edit(site, Zero(), where).index(average)]
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
