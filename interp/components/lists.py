"""All components of a kind that a model has, and the sites that hold what they compute."""

from collections.abc import Iterable
from itertools import chain

from interp.components.component import Component, Of, component, named
from interp.components.kinds import MLP, AttentionLayer, Head, KVHead, Layer, Neuron, no_mlps
from interp.errors import UsageError
from interp.sites import Site


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
