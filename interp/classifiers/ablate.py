"""Which heads the decision needs: one at a time removed, or moved in other directions as far as its removal
moves it, where the output projection reads it.

What is removed is z, the head's own slice of the projection's input. A slice of what comes out would
be dimensions of the stream, which all heads write.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from interp.classifiers.classifier import Classifier, Reading
from interp.classifiers.places import Places, read_by, recorded
from interp.components import Head
from interp.methods.moves import seeded


class Prefix:
    """What every layer of a pair's run gave. Models that call one layer many times have none."""

    def __init__(self, classifier: Classifier, places: Places, reading: Reading) -> None:
        self._layers = _layers(classifier.model, [place.name for place in places.attention])
        self._given: list[Any] = [None] * len(self._layers)
        with ExitStack() as stack:
            for number, layer in enumerate(self._layers):
                stack.callback(layer.register_forward_hook(partial(self._note, number)).remove)
            classifier.logits(reading.inputs)

    @contextmanager
    def before(self, layer: int, n: int) -> Iterator[None]:
        """Inside, the layers before this one give what they gave, n times over, without running."""
        skipped = self._layers[:layer]
        try:
            for number, module in enumerate(skipped):
                # An instance's own forward goes before that of its class.
                object.__setattr__(module, "forward", partial(self._again, number, n))
            yield
        finally:
            for module in skipped:
                module.__dict__.pop("forward", None)

    def _note(self, number: int, module: nn.Module, given: Any, result: Any) -> None:
        self._given[number] = result

    def _again(self, number: int, n: int, /, *given: Any, **named: Any) -> Any:
        return _repeated(self._given[number], n)


def _layers(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """The items of the model's list of layers that these modules are in; none if two share one."""
    found: list[nn.Module] = []
    for name in names:
        parts = name.split(".")
        holders = [".".join(parts[:size]) for size in range(len(parts))]
        inside = [
            f"{holder}.{parts[size]}"
            for size, holder in enumerate(holders)
            if isinstance(model.get_submodule(holder), nn.ModuleList)
        ]
        if not inside:
            return []
        found.append(model.get_submodule(inside[0]))
    return found if len(set(found)) == len(found) else []


def _repeated(given: Any, n: int) -> Any:
    if isinstance(given, Tensor):
        # As GPT's first layers are given it: theirs cannot be viewed where it is expanded.
        return given.repeat(n, *(1 for _ in given.shape[1:]))
    return tuple(None if each is None else _repeated(each, n) for each in given)


Kind = Literal["zero", "mean"]
KINDS: tuple[Kind, ...] = ("zero", "mean")


def means(
    classifier: Classifier, places: Places, readings: Sequence[Reading]
) -> Float[Tensor, "layer head d_head"]:
    """The mean z of every head over all tokens of these pairs.

    Layers whose heads have another width than the first layer's cannot be stacked; no model known
    here has such.
    """
    total, n = torch.zeros(()), 0
    for reading in readings:
        held = recorded(classifier, reading, places.attention)
        z = torch.stack([_by_head(given, places)[0].double().cpu().sum(0) for given, _ in held])
        total, n = total + z, n + len(reading.strings)
    return total / n


def ablated(
    classifier: Classifier,
    places: Places,
    reading: Reading,
    value: Float[Tensor, "layer head d_head"],
) -> Float[Tensor, "layer head"]:
    """What putting this value in place of one head's z, at all tokens, adds to the log-odds: one row
    of a batch is one head, and layers before it are not run again."""
    base = float(classifier.decide(reading.inputs)[0])
    rows = reading.rows(places.n_heads)
    prefix = Prefix(classifier, places, reading)
    found = []
    for layer in range(places.n_layers):
        wanted = value[layer]

        def change(number: int, given: Tensor, wanted: Tensor = wanted) -> Tensor:
            z = _by_head(given, places).clone()
            for head in range(places.n_heads):
                z[head, :, head] = wanted[head].to(z)
            return rearrange(z, "batch pos head d_head -> batch pos (head d_head)")

        skipped = prefix.before(layer, places.n_heads)
        with skipped, read_by([places.attention[layer]], change):
            found.append(classifier.decide(rows) - base)
    return torch.stack(found)


def alone(
    classifier: Classifier, places: Places, reading: Reading, head: Head, value: Tensor
) -> float:
    """The same for one head in a whole run of its own: the check of the others."""
    return float(_replaced(classifier, places, reading, head, value.expand(1, 1, -1))[0])


def _replaced(
    classifier: Classifier,
    places: Places,
    reading: Reading,
    head: Head,
    new: Float[Tensor, "draw pos d_head"],
) -> Float[np.ndarray, " draw"]:
    """What each of these values of one head's z adds; one row of a batch is one of them."""

    def change(number: int, given: Tensor) -> Tensor:
        z = _by_head(given, places).clone()
        z[:, :, head.index] = new.to(z)
        return rearrange(z, "batch pos head d_head -> batch pos (head d_head)")

    base = classifier.decide(reading.inputs)
    with read_by([places.attention[head.layer]], change):
        return (classifier.decide(reading.rows(len(new))) - base).numpy()


def _by_head(given: Tensor, places: Places) -> Float[Tensor, "batch pos head d_head"]:
    return rearrange(given, "batch pos (head d_head) -> batch pos head d_head", head=places.n_heads)


# Each way of choosing another direction, as reports call it.
WAYS = (
    "random directions of equal norm",
    "differences of unrelated pairs, of equal norm",
)


def moved(
    classifier: Classifier,
    places: Places,
    readings: Sequence[Reading],
    clusters: Int[np.ndarray, " example"],
    mean: Float[Tensor, "layer head d_head"],
    chosen: Sequence[Head],
    seed: int = 0,
) -> dict[str, Float[np.ndarray, "component example"]]:
    """For each way, what moving each of the chosen heads adds on each pair: what a head's direction is for.

    Mean ablation moves a head's z at every token to its mean over the pairs. The same heads are moved as
    far at every token in a direction drawn at random, and along the difference of what the head does at two
    tokens of pairs of other clusters.

    Units  Log-odds (a regression: its number), moved minus unchanged.
    """
    every = [
        [_by_head(given, places)[0].double().cpu() for given, _ in held]
        for held in (recorded(classifier, reading, places.attention) for reading in readings)
    ]
    found = np.zeros((len(WAYS), len(chosen), len(readings)))
    for number, moving in enumerate(chosen):
        layer, head = moving.layer, moving.index
        there = [z[layer][:, head] for z in every]
        for pair, reading in enumerate(readings):
            words = seed, layer, head, reading.tokens.tolist()
            random = torch.Generator().manual_seed(seeded(*words))
            others = [z for z, it in zip(there, clusters, strict=True) if it != clusters[pair]]
            directions = _directions(there[pair], torch.cat(others or there), random)
            far = (mean[layer, head] - there[pair]).norm(dim=-1, keepdim=True)
            lengths = directions.norm(dim=-1, keepdim=True)
            new = there[pair] + directions * far / lengths.clamp(min=torch.finfo().tiny)
            found[:, number, pair] = _replaced(classifier, places, reading, moving, new)
    return dict(zip(WAYS, found, strict=True))


def _directions(
    z: Float[Tensor, "pos d_head"], others: Float[Tensor, "key d_head"], random: torch.Generator
) -> Float[Tensor, "draw pos d_head"]:
    """For every token a random direction, and the difference between two other tokens."""
    drawn = torch.randn(z.shape, generator=random, dtype=z.dtype)
    one, two = (torch.randint(len(others), (len(z),), generator=random) for _ in range(2))
    along = others[one] - others[two]
    # Where two tokens do just the same any direction will do.
    return torch.stack([drawn, torch.where(along.norm(dim=-1, keepdim=True) > 0, along, drawn)])
