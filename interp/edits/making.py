"""The edits that one makes: zeros, a value, another run's, a vector added, a function's."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from interp.edits.edit import Edit
from interp.edits.values import Add, Call, Put, Zero, number, numbers
from interp.edits.where import Index, Positions, once, where_of
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
