"""Several components as one."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

from interp import sites
from interp.components.component import Component, Of, Shape, Slice, component
from interp.errors import UsageError
from interp.sites import Site


@dataclass(frozen=True, slots=True)
class Joint(Component):
    """Several components as one, of the layer that they share if they do; made by `together`."""

    components: tuple[Component, ...]
    name: str = ""

    kind = "joint"

    @property
    def layer(self) -> int | None:
        shared = {each.layer for each in self.components}
        return shared.pop() if len(shared) == 1 else None

    def __str__(self) -> str:
        return self.name or " + ".join(map(str, self.components))

    def columns(self) -> dict[str, Any]:
        return {"components": str(self)}

    def check(self, of: Of) -> None:
        for each in self.components:
            each.check(of)

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        found: dict[Site, Slice] = {}
        for each in chain.from_iterable(part._slices(config) for part in self.components):
            found[each.site] = _joined(found.get(each.site, each), each)
        for site in found:
            inner = {"attn_out": sites.z, "mlp_out": sites.mlp_post}.get(site.kind)
            if inner and site.layer is not None and inner(site.layer) in found:
                raise UsageError(f"{self} names a part and the whole that it is of: leave one out")
        return tuple(found.values())


def together(*several: Component, name: str = "") -> Joint:
    """These components as one, spelt `name` or one after the other.

    Raises  UsageError if there are none.
    """
    for each in several:
        component(each)
    if not several:
        raise UsageError("together() needs one component at least, such as together(Head(5, 1))")
    return Joint(several, name)


def _joined(one: Slice, other: Slice) -> Slice:
    """Both slices of one site."""

    def both(first: tuple[int, ...] | None, second: tuple[int, ...] | None) -> Any:
        return None if first is None or second is None else tuple(sorted({*first, *second}))

    return Slice(one.site, both(one.heads, other.heads), both(one.units, other.units))
