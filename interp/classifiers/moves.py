"""Heads moved in other directions, as far as their removal moves them: what a head's direction is for.

Method  Mean ablation moves a head's z at every token to its mean over the pairs. The same heads are moved
        as far at every token in a direction drawn at random, and along the difference of what the head
        does at two tokens of pairs of other clusters.
Units   Log-odds (a regression: its number), moved minus unchanged.
"""

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from interp.classifiers.classifier import Classifier, Reading
from interp.classifiers.places import Places, read_by, recorded
from interp.components import Head
from interp.methods.directions import seeded

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
    """For each way, what moving each of the chosen heads adds on each pair."""
    every = [_z(classifier, places, reading) for reading in readings]
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
            found[:, number, pair] = _effects(classifier, places, reading, moving, new)
    return dict(zip(WAYS, found, strict=True))


def _z(
    classifier: Classifier, places: Places, reading: Reading
) -> list[Float[Tensor, "pos head d_head"]]:
    """What every layer's heads do on this pair."""
    return [
        rearrange(
            given[0].double().cpu(), "pos (head d_head) -> pos head d_head", head=places.n_heads
        )
        for given, _ in recorded(classifier, reading, places.attention)
    ]


def _directions(
    z: Float[Tensor, "pos d_head"], others: Float[Tensor, "key d_head"], random: torch.Generator
) -> Float[Tensor, "draw pos d_head"]:
    """For every token a random direction, and the difference between two other tokens."""
    drawn = torch.randn(z.shape, generator=random, dtype=z.dtype)
    one, two = (torch.randint(len(others), (len(z),), generator=random) for _ in range(2))
    along = others[one] - others[two]
    # Where two tokens do just the same any direction will do.
    return torch.stack([drawn, torch.where(along.norm(dim=-1, keepdim=True) > 0, along, drawn)])


def _effects(
    classifier: Classifier,
    places: Places,
    reading: Reading,
    head: Head,
    new: Float[Tensor, "draw pos d_head"],
) -> Float[np.ndarray, " draw"]:
    """What each of these values of one head adds; one row of a batch is one of them."""

    def change(number: int, given: Tensor) -> Tensor:
        z = rearrange(
            given, "batch pos (head d_head) -> batch pos head d_head", head=places.n_heads
        ).clone()
        z[:, :, head.index] = new.to(z)
        return rearrange(z, "batch pos head d_head -> batch pos (head d_head)")

    base = classifier.decide(reading.inputs)
    with read_by([places.attention[head.layer]], change):
        return (classifier.decide(reading.rows(len(new))) - base).numpy()
