"""How far did training move each part of a model?

Method  The Frobenius norm of a part's change over that of its weights before, all its matrices and
        biases together: a head's W_Q, W_K, W_V and W_O with their biases (keys and values that several
        heads share count for each of them), an MLP's, a norm's, the embeddings'.
Units   Shares of the norm before: 0 for what stayed, 1 for a change as long as the weights were.
Limits  Directions that the stream never holds count as much as those that it uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import UsageError
from interp.transformer import Transformer

_PER_KV_HEAD = ("W_K", "W_V", "b_K", "b_V")


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a part moved; `layer` and `head` are None where it has none."""

    part: str
    layer: int | None
    head: int | None
    distance: float


@torch.no_grad()
def distances(before: Transformer, after: Transformer) -> list[Moved]:
    """Every part's distance: heads and then MLPs and norms, layer by layer, then what has no layer.

    Raises  UsageError for models of different shapes.
    """
    if before.config != after.config:
        raise UsageError(
            f"{before.name} and {after.name} differ in shape, so their weights cannot be compared"
        )
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    found = []
    for part, layer, head, names in _parts(after):
        pairs = [
            (_slice(old[it], it, head, after), _slice(new[it], it, head, after)) for it in names
        ]
        length = sum(float(one.double().square().sum()) for one, _ in pairs) ** 0.5
        change = sum(float((two.double() - one).square().sum()) for one, two in pairs) ** 0.5
        found.append(Moved(part, layer, head, change / length if length else float(change > 0)))
    return found


def _parts(model: Transformer) -> Iterator[tuple[str, int | None, int | None, list[str]]]:
    names = [name for name, _ in model.named_parameters()]
    for layer in range(model.config.n_layers):
        top = f"blocks.{layer}."
        of_heads = [it for it in names if it.startswith(f"{top}attn.") and _by_head(it)]
        for head in range(model.config.n_heads):
            yield "head", layer, head, of_heads
        if mlp := [it for it in names if it.startswith(f"{top}mlp.")]:
            yield "mlp", layer, None, mlp
        if rest := [
            it
            for it in names
            if it.startswith(top) and it not in of_heads and not it.startswith(f"{top}mlp.")
        ]:
            yield "norms and output bias", layer, None, rest
    for module in dict.fromkeys(it.partition(".")[0] for it in names):
        if module not in ("blocks", "head"):
            yield module, None, None, [it for it in names if it.startswith(f"{module}.")]


def _by_head(name: str) -> bool:
    return name.rpartition(".")[2] in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")


def _slice(weight: Tensor, name: str, head: int | None, model: Transformer) -> Tensor:
    if head is None:
        return weight
    per_kv_head = name.rpartition(".")[2] in _PER_KV_HEAD
    return weight[head // model.config.group if per_kv_head else head]
