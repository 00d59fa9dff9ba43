"""Which heads the decision needs: one at a time removed where the output projection reads it.

What is removed is z, the head's own slice of the projection's input. A slice of what comes out would
be dimensions of the stream, which all heads write.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interp.classifiers.classifier import Classifier, Reading
from interp.classifiers.places import Places, read_by, recorded
from interp.classifiers.skip import Prefix
from interp.components import Head

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

    def change(number: int, given: Tensor) -> Tensor:
        z = _by_head(given, places).clone()
        z[:, :, head.index] = value.to(z)
        return rearrange(z, "batch pos head d_head -> batch pos (head d_head)")

    base = float(classifier.decide(reading.inputs)[0])
    with read_by([places.attention[head.layer]], change):
        return float(classifier.decide(reading.inputs)[0]) - base


def _by_head(given: Tensor, places: Places) -> Float[Tensor, "batch pos head d_head"]:
    return rearrange(given, "batch pos (head d_head) -> batch pos head d_head", head=places.n_heads)
