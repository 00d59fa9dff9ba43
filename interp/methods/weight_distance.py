"""How far did training move each part of a model?

Method  The Frobenius norm of a part's change over that of its weights before, all its matrices and
        biases together: a head's W_Q, W_K, W_V and W_O with their biases (keys and values that several
        heads share count for each of them), an MLP's, a norm's, the embeddings'.
Units   Shares of the norm before: 0 for what stayed, 1 for a change as long as the weights were.
Limits  Directions that the stream never holds count as much as those that it uses.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from interp.components import MLP, Component, Embedding, Head, PosEmbedding
from interp.errors import UsageError
from interp.transformer import Transformer

_PER_KV_HEAD = ("W_K", "W_V", "b_K", "b_V")


@dataclass(frozen=True, slots=True)
class LayerNorms(Component):
    """The norms of one layer and the output bias of its attention."""

    layer: int = field()

    kind = "norms and output bias"
    spelling = "L{layer} norms and output bias"


@dataclass(frozen=True, slots=True)
class FinalNorm(Component):
    """The norm before the logits."""

    kind = spelling = "ln_final"


@dataclass(frozen=True, slots=True)
class Unembedding(Component):
    """What turns the residual stream into logits."""

    kind = spelling = "unembed"


_OUTSIDE = (Embedding(), PosEmbedding(), FinalNorm(), Unembedding())


@torch.no_grad()
def distances(before: Transformer, after: Transformer) -> dict[Component, float]:
    """Every component's distance: heads and then MLPs and norms, layer by layer, then what has no layer.

    Raises  UsageError for models of different shapes.

    >>> max(distances(model, model).values())
    0.0
    """
    if before.config != after.config:
        raise UsageError(
            f"{before.name} and {after.name} differ in shape, so their weights cannot be compared"
        )
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    found: dict[Component, float] = {}
    for each, names in _weights(after):
        pairs = [
            (_slice(old[it], it, each, after), _slice(new[it], it, each, after)) for it in names
        ]
        length = sum(float(one.double().square().sum()) for one, _ in pairs) ** 0.5
        change = sum(float((two.double() - one).square().sum()) for one, two in pairs) ** 0.5
        found[each] = change / length if length else float(change > 0)
    return found


def _weights(model: Transformer) -> Iterator[tuple[Component, list[str]]]:
    """Every component with the names of its parameters."""
    names = [name for name, _ in model.named_parameters()]
    for layer in range(model.config.n_layers):
        top = f"blocks.{layer}."
        of_heads = [it for it in names if it.startswith(f"{top}attn.") and _by_head(it)]
        for head in range(model.config.n_heads):
            yield Head(layer, head), of_heads
        if mlp := [it for it in names if it.startswith(f"{top}mlp.")]:
            yield MLP(layer), mlp
        if rest := [
            it
            for it in names
            if it.startswith(top) and it not in of_heads and not it.startswith(f"{top}mlp.")
        ]:
            yield LayerNorms(layer), rest
    for each in _OUTSIDE:
        if outside := [it for it in names if it.startswith(f"{each.kind}.")]:
            yield each, outside


def _by_head(name: str) -> bool:
    return name.rpartition(".")[2] in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")


def _slice(weight: Tensor, name: str, of: Component, model: Transformer) -> Tensor:
    if not isinstance(of, Head):
        return weight
    per_kv_head = name.rpartition(".")[2] in _PER_KV_HEAD
    return weight[of.index // model.config.group if per_kv_head else of.index]
