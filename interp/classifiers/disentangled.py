"""DeBERTa's attention scores, term by term: content to content, content to position, position to
content, each divided by √(number of terms · d_head) before softmax.

The terms are those of the model's own code, asked for one at a time. Softmax does not see what is
added to a whole row, so terms are compared after each row's mean is taken off, and taking a term out
is the same as putting its row's mean.

Source  He et al. 2021, DeBERTa, arXiv:2006.03654, equation 4; 2023, DeBERTaV3, arXiv:2111.09543.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from einops import rearrange
from fancy_einsum import einsum
from jaxtyping import Float
from torch import Tensor

from interp.classifiers.classifier import Classifier, Reading
from interp.errors import NotApplicable

TERMS = ("c2c", "c2p", "p2c")
# The method that adds the position terms, in DeBERTa and in its second and third versions.
_METHODS = ("disentangled_att_bias", "disentangled_attention_bias")

# Number of the layer and the terms; gives what is added to the scores.
Change = Callable[[int, dict[str, Tensor]], Tensor]


def layers(classifier: Classifier) -> list[Any]:
    """The attention modules whose scores have terms.

    Raises  NotApplicable for a model that is no DeBERTa with c2p and p2c, or that mixes its heads.
    """
    found = [
        module
        for module in classifier.model.modules()
        if any(hasattr(module, method) for method in _METHODS)
        and getattr(module, "relative_attention", False)
    ]
    if not found:
        raise NotApplicable(f"{classifier.name} is no DeBERTa: its scores have one term")
    if any(getattr(module, "talking_head", False) for module in found):
        raise NotApplicable(f"{classifier.name} mixes the scores of its heads before softmax")
    return found


def terms(
    classifier: Classifier, reading: Reading
) -> Float[Tensor, "component layer head query key"]:
    """The terms in the order of TERMS, zero where the model has none, on this pair."""
    held: dict[int, Tensor] = {}

    def note(layer: int, found: dict[str, Tensor]) -> Tensor:
        held[layer] = torch.stack([found[term][0] for term in TERMS]).double().cpu()
        return torch.zeros_like(found["c2c"])

    modules = layers(classifier)
    with _added(modules, note):
        classifier.logits(reading.inputs)
    return torch.stack([held[layer] for layer in range(len(modules))], 1)


def without(
    classifier: Classifier, reading: Reading, term: str
) -> tuple[Float[Tensor, " layer"], float]:
    """What taking this term out of one layer's scores adds to the log-odds, and out of all layers'.

    One row of a batch is one layer; the last has all of them.
    """
    modules = layers(classifier)
    n_layers = len(modules)

    def remove(layer: int, found: dict[str, Tensor]) -> Tensor:
        removed = torch.zeros_like(found[term])
        for row in (layer, n_layers):
            removed[row] = -found[term][row]
        return removed

    base = float(classifier.decide(reading.inputs)[0])
    with _added(modules, remove):
        decided = classifier.decide(reading.rows(n_layers + 1)) - base
    return decided[:-1], float(decided[-1])


def shares(
    found: Float[Tensor, "component layer head query key"],
) -> Float[Tensor, "component layer head"]:
    """How much of the centred scores each term makes up: along their sum, over its squared length."""
    one = centred(found)
    total = one.sum(0)
    along = einsum(
        "component layer head query key, layer head query key -> component layer head", one, total
    )
    return along / total.square().sum((-1, -2))


def mismatch(
    found: Float[Tensor, "component layer head query key"],
    pattern: Float[Tensor, "layer head query key"],
    smallest: float = 0.0,
) -> float:
    """The largest difference between the sum of the terms and the scores that the model's pattern
    came from, both less the value at the key that their row attends to most. Shares of attention below
    `smallest`, which the number format rounds to nothing, tell no score."""
    total, scores = found.sum(0), pattern.log()
    most = pattern.argmax(-1, keepdim=True)
    difference = (total - total.gather(-1, most)) - (scores - scores.gather(-1, most))
    # Softmax rounds what is too small to nothing.
    return float(difference[pattern > max(smallest, 1e-30)].abs().max())


def centred(scores: Tensor) -> Tensor:
    """The scores less the mean of their row."""
    return scores - scores.mean(-1, keepdim=True)


@contextmanager
def _added(modules: Sequence[Any], change: Change) -> Iterator[None]:
    """Inside, every layer's scores have what `change` gives added before softmax."""
    # A method found on the instance goes before that of its class.
    spelt = [next(name for name in _METHODS if hasattr(module, name)) for module in modules]
    try:
        for layer, (module, method) in enumerate(zip(modules, spelt, strict=True)):
            object.__setattr__(module, method, _with(module, method, layer, change))
        yield
    finally:
        for module, method in zip(modules, spelt, strict=True):
            module.__dict__.pop(method, None)


def _with(module: Any, method: str, layer: int, change: Change) -> Callable[..., Any]:
    original = getattr(module, method)

    def scored(query: Tensor, key: Tensor, relative: Tensor, table: Tensor, factor: int) -> Any:
        kinds = module.pos_att_type
        given = (query, key, relative, table, factor)
        found = {"c2c": query @ key.transpose(-1, -2)}
        if method == _METHODS[1]:
            # The first version hands over queries that are scaled already. The root is float32 there.
            found["c2c"] = (
                found["c2c"] / torch.tensor(float(query.shape[-1] * factor)).sqrt().item()
            )
        try:
            for term in TERMS[1:]:
                module.pos_att_type = [term]
                zero = torch.zeros_like(found["c2c"])
                found[term] = original(*given) if term in kinds else zero
        finally:
            module.pos_att_type = kinds
        added = change(layer, {term: _heads(found[term], module) for term in TERMS})
        return original(*given) + added.reshape(found["c2c"].shape)

    return scored


def _heads(scores: Tensor, module: Any) -> Float[Tensor, "batch head query key"]:
    if scores.ndim == 4:
        return scores
    return rearrange(
        scores, "(batch head) query key -> batch head query key", head=module.num_attention_heads
    )
