"""A model and what its training began with: on the same prompts, and how far each part's weights moved.

Method  A distance is the Frobenius norm of a part's change over that of its weights before, all matrices
        and biases together; keys and values that several heads share count for each of them.
Units   KL divergence in nats a token; direct effects in logits of answer minus wrong; distances in shares
        of the norm before: 0 for what stayed, 1 for a change as long as the weights were.
Limits  Directions that the stream never holds count as much as those that it uses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.components import MLP, Component, Embedding, Head, PosEmbedding
from interp.effects import Effects
from interp.errors import UsageError
from interp.methods import attribute
from interp.methods.attribute import Attribution
from interp.tasks import Task
from interp.tasks.batches import whole
from interp.transformer import Transformer
from interp.weights import load


def model_before(model: Transformer, name: str) -> Transformer:
    """The model of this name, which training began with, as this one is loaded.

    Raises  UsageError if it is not named, or reads other tokens.
    """
    if not name:
        notes = "".join(f" ({note})" for note in model.origin.notes[:1])
        raise UsageError(f"say what {model.name} was before: --before NAME{notes}")
    found = load(name, model.dtype, model.device)
    if found.tokenizer.get_vocab() != model.tokenizer.get_vocab():
        raise UsageError(f"{name} and {model.name} have different tokenizers")
    return found


@torch.no_grad()
def divergence(
    before: Transformer, after: Transformer, task: Task
) -> Float[np.ndarray, " example"]:
    """For each clean prompt the KL divergence from the model before to the model after, mean over tokens."""
    found = []
    for prompt in task.kept:
        tokens = torch.tensor([prompt.clean_tokens], device=after.device)
        old, new = (each.run(tokens).logits.double().log_softmax(-1) for each in (before, after))
        found.append(float((old.exp() * (old - new)).sum(-1).mean()))
    return np.array(found)


def attributed(models: Mapping[str, Transformer], task: Task) -> dict[str, Attribution]:
    """The direct effects of every part of each model, with its own final norm and unembedding."""
    found = {}
    for side, model in models.items():
        prompts = whole(task, model.device)
        run = prompts.run(model, keep=attribute.wanted(model))
        found[side] = attribute.attribute(model, run, prompts)
    return found


def shared(sides: Mapping[str, Attribution], task: Task) -> dict[str, Effects]:
    """The direct effects of the parts that all models have."""
    found = {side: each.effects(task) for side, each in sides.items()}
    *others, last = (each.components for each in found.values())
    keys = [key for key in last if all(key in each for each in others)]
    return {
        side: each.only([each.components.index(key) for key in keys])
        for side, each in found.items()
    }


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
