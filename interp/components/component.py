"""What is true of every part of a model: its name, its columns, its slices of sites."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Union, cast, runtime_checkable

from interp.errors import UsageError, brief
from interp.sites import Site


@runtime_checkable
class Shape(Protocol):
    """What a component asks of a model's config."""

    @property
    def n_layers(self) -> int: ...
    @property
    def n_heads(self) -> int: ...
    @property
    def n_kv_heads(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def d_mlp(self) -> int: ...
    @property
    def positions(self) -> str: ...
    @property
    def o_bias(self) -> bool: ...
    @property
    def mlp_bias(self) -> bool: ...


@runtime_checkable
class Model(Protocol):
    """Anything that has such a config, and a name."""

    @property
    def config(self) -> Shape: ...
    @property
    def name(self) -> str: ...


Of = Union[Model, Shape]


@dataclass(frozen=True, slots=True)
class Slice:
    """Some heads or some units of one site; None means all of them."""

    site: Site
    heads: tuple[int, ...] | None = None
    units: tuple[int, ...] | None = None

    def columns(self) -> dict[str, Any]:
        """What begins its row of a table: the site and its layer."""
        layer = {} if self.site.layer is None else {"layer": self.site.layer}
        return {"site": self.site.kind, **layer}


class Component:
    """One part of a model; `kind` is what tables call its sort.

    `layer` is the layer that it belongs to and `index` its number there, None where it has none.
    """

    __slots__ = ()
    kind: ClassVar[str] = ""
    # What several of them are called.
    plural: ClassVar[str] = "components"
    # How it is spelt, what its index counts in a table, and how many of those a config has.
    spelling: ClassVar[str] = ""
    _column: ClassVar[str] = ""
    _size: ClassVar[str] = ""

    @property
    def layer(self) -> int | None:
        return None

    @property
    def index(self) -> int | None:
        return None

    def __str__(self) -> str:
        return self.spelling.format(layer=self.layer, index=self.index)

    def columns(self) -> dict[str, Any]:
        """What begins its row of a table, such as layer and head."""
        named = {"layer": self.layer, self._column: self.index}
        return {name: value for name, value in named.items() if value is not None}

    def check(self, of: Of) -> None:
        """Raises a UsageError, which names what the model has, if this is no part of it."""
        name, config = named(of)
        for what, given, size in (
            ("layer", self.layer, config.n_layers),
            (self._column, self.index, getattr(config, self._size, 0)),
        ):
            if given is not None and given >= size:
                raise UsageError(f"{name} has {what}s 0…{size - 1}, got {given} ({self})")
        if lacking := self._lacking(config):
            raise UsageError(f"{name} {lacking}, got {self}")

    def slices(self, of: Of) -> tuple[Slice, ...]:
        """Where what it computes is held: what replaces these takes it out, each of another site.

        Raises  UsageError for what this model does not have, and for what is no activation.
        """
        self.check(of)
        return self._slices(named(of)[1])

    def _lacking(self, config: Shape) -> str:
        """What a model without such a part has instead; empty if it has one."""
        return ""

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        raise UsageError(f"{self} is no activation of a run, so nothing can be put in its place")


def component(given: Any) -> Component:
    """What was given, if it is a component.

    Raises  UsageError otherwise.
    """
    if isinstance(given, Component):
        return given
    raise UsageError(f"expected a component, such as Head(5, 1) or MLP(5), got {brief(given)}")


def named(of: Of) -> tuple[str, Shape]:
    """What errors call the model, and its config."""
    return getattr(of, "name", "this model"), cast(Shape, getattr(of, "config", of))
