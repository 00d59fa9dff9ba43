"""The components that a model has, several as one, and a component from its name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from interp import sites
from interp.components.component import Component, Of, Shape, Slice, component, named
from interp.components.kinds import (
    MLP,
    SPELT,
    AttentionLayer,
    Head,
    KVHead,
    Layer,
    Neuron,
    no_mlps,
)
from interp.errors import UsageError, brief
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


def heads(of: Of) -> list[Head]:
    """Every attention head, layer by layer."""
    config = named(of)[1]
    return [Head(layer, head) for layer in range(config.n_layers) for head in range(config.n_heads)]


def kv_heads(of: Of) -> list[KVHead]:
    """Every key/value head with the query heads that share it, layer by layer."""
    config = named(of)[1]
    return [
        KVHead(layer, head) for layer in range(config.n_layers) for head in range(config.n_kv_heads)
    ]


def attention_layers(of: Of) -> list[AttentionLayer]:
    """Every whole attention layer."""
    return [AttentionLayer(layer) for layer in range(named(of)[1].n_layers)]


def mlps(of: Of) -> list[MLP]:
    """Every MLP.

    Raises  UsageError for a model that has none.
    """
    name, config = named(of)
    if lacking := no_mlps(config):
        raise UsageError(f"{name} {lacking}")
    return [MLP(layer) for layer in range(config.n_layers)]


def neurons(of: Of, layer: int | None = None) -> list[Neuron]:
    """Every neuron of one layer, or of all, layer by layer.

    Raises  UsageError for a model that has none, or not this layer.
    """
    chosen = mlps(of) if layer is None else [MLP(layer)]
    for each in chosen:
        each.check(of)
    return [Neuron(each.layer, unit) for each in chosen for unit in range(named(of)[1].d_mlp)]


def layers(of: Of) -> list[Layer]:
    """Every whole layer."""
    return [Layer(layer) for layer in range(named(of)[1].n_layers)]


def sites_of(several: Iterable[Component], of: Of) -> list[Site]:
    """The sites that hold what these components compute, each once.

    Raises  UsageError for what is no component, or none of this model's.
    """
    if isinstance(several, Component):
        raise UsageError(f"expected a list of components, such as [{several!r}], got one component")
    slices = chain.from_iterable(component(each).slices(of) for each in several)
    return list(dict.fromkeys(each.site for each in slices))


def parse(text: str) -> Component:
    """The component that is spelt like this: `L5H1`, `L5 MLP`, `embed`, `L5H1 + L6H0`.

    Raises  UsageError for any other text; the message shows every spelling.
    """
    if isinstance(text, str):
        found = [_single(each) for each in text.split(" + ")]
        if all(found):
            return found[0] if len(found) == 1 else together(*found)  # type: ignore[arg-type, return-value]
    known = ", ".join(kind.spelling.format(layer=5, index=1) for kind in SPELT)
    raise UsageError(f"no component is spelt {brief(text)}; components are spelt {known}")


def _single(text: str) -> Component | None:
    for kind in SPELT:
        number = r"(0|[1-9][0-9]{0,5})"
        if match := re.fullmatch(kind.spelling.format(layer=number, index=number), text):
            return kind(*map(int, match.groups()))
    return None
