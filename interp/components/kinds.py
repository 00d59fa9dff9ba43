"""The parts that a transformer has: heads, MLPs, neurons, layers, embeddings, biases, and the logits."""

from dataclasses import dataclass, field, fields
from typing import Any

from interp import sites
from interp.components.component import Component, Of, Shape, Slice
from interp.errors import UsageError, brief


@dataclass(frozen=True, slots=True)
class _Layered(Component):
    layer: int = field()

    def __post_init__(self) -> None:
        for each in fields(self):
            number = _whole(type(self).__name__, each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, number)


@dataclass(frozen=True, slots=True)
class _Numbered(_Layered):
    index: int = field()


@dataclass(frozen=True, slots=True)
class Head(_Numbered):
    """An attention head, at its z."""

    kind, plural = "head", "heads"
    spelling, _column, _size = "L{layer}H{index}", "head", "n_heads"

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        return (Slice(sites.z(self.layer), heads=(self.index,)),)


@dataclass(frozen=True, slots=True)
class KVHead(_Numbered):
    """The query heads that share one key/value head, together."""

    kind, plural = "kv_head", "groups of heads"
    spelling, _column, _size = "L{layer}KV{index}", "kv_head", "n_kv_heads"

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        first = self.index * config.group
        return (Slice(sites.z(self.layer), heads=tuple(range(first, first + config.group))),)


@dataclass(frozen=True, slots=True)
class AttentionLayer(_Layered):
    """A whole attention layer, with its bias."""

    kind, plural = "attention", "attention layers"
    spelling = "L{layer} attention"

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        return (Slice(sites.attn_out(self.layer)),)


@dataclass(frozen=True, slots=True)
class AttentionBias(_Layered):
    """b_O of an attention layer, a constant that it adds at every position."""

    kind = "attn_bias"
    spelling = "L{layer} attn bias"

    def _lacking(self, config: Shape) -> str:
        return "" if config.o_bias else "has no biases of attention layers"


@dataclass(frozen=True, slots=True)
class _OfMLP(_Layered):
    def _lacking(self, config: Shape) -> str:
        return no_mlps(config)


@dataclass(frozen=True, slots=True)
class MLP(_OfMLP):
    """A whole MLP, with its bias."""

    kind, plural = "mlp", "MLPs"
    spelling = "L{layer} MLP"

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        return (Slice(sites.mlp_out(self.layer)),)


@dataclass(frozen=True, slots=True)
class MLPBias(_OfMLP):
    """b_out of an MLP, a constant that it adds at every position."""

    kind = "mlp_bias"
    spelling = "L{layer} mlp bias"

    def _lacking(self, config: Shape) -> str:
        return no_mlps(config) or ("" if config.mlp_bias else "has no biases of MLPs")


@dataclass(frozen=True, slots=True)
class Neuron(_Numbered):
    """One neuron of an MLP, at its activation."""

    kind, plural = "neuron", "neurons"
    spelling, _column, _size = "L{layer}N{index}", "neuron", "d_mlp"

    def check(self, of: Of) -> None:
        MLP(self.layer).check(of)
        _Numbered.check(self, of)

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        return (Slice(sites.mlp_post(self.layer), units=(self.index,)),)


@dataclass(frozen=True, slots=True)
class Layer(_Layered):
    """A whole layer: its attention and, where it has one, its MLP."""

    kind, plural = "block", "layers"
    spelling = "L{layer} block"

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        attention = Slice(sites.attn_out(self.layer))
        return (attention, Slice(sites.mlp_out(self.layer))) if config.d_mlp else (attention,)


@dataclass(frozen=True, slots=True)
class Embedding(Component):
    """The token embeddings."""

    kind = spelling = "embed"

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        return (Slice(sites.embed()),)


@dataclass(frozen=True, slots=True)
class PosEmbedding(Component):
    """The learned position embeddings."""

    kind = spelling = "pos_embed"

    def _lacking(self, config: Shape) -> str:
        return "" if config.positions == "learned" else "has no learned position embeddings"

    def _slices(self, config: Shape) -> tuple[Slice, ...]:
        return (Slice(sites.pos_embed()),)


@dataclass(frozen=True, slots=True)
class Logits(Component):
    """Where the residual stream is read in the end; it writes nothing to it."""

    kind = spelling = "logits"


# Every kind that has a spelling of its own.
SPELT: tuple[type[Component], ...] = (
    *(Head, KVHead, Neuron, MLP, AttentionLayer, Layer, Embedding, PosEmbedding),
    *(AttentionBias, MLPBias, Logits),
)


def no_mlps(config: Shape) -> str:
    """What a model without MLPs has instead; empty for one with them."""
    return "" if config.d_mlp else "has attention only: there are no MLPs in it"


def _whole(kind: str, name: str, given: Any) -> int:
    if isinstance(given, bool) or not hasattr(given, "__index__") or given < 0:
        raise UsageError(f"the {name} of {kind} is a whole number from 0 on, got {brief(given)}")
    return int(given)
