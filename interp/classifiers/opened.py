"""A classifier opened up on some pairs: every way of looking, as frames of numbers over the pairs.

What several ways share (places, patterns, effects of heads) is computed once, when first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp import stats
from interp.classifiers import ablate, attention, choice, disentangled, occlude, stream
from interp.classifiers.classifier import Classifier, Reading
from interp.classifiers.pairs import Pair, premises
from interp.classifiers.places import Places, find

# Shows how far a loop over pairs is.
Watched = Callable[[Sequence[Any], str], Iterator[Any]]
Effects = Float[np.ndarray, "component example"]


class Opened:
    """The classifier on these pairs. Effects are log-odds, changed minus unchanged, one column a
    pair; intervals resample premises."""

    def __init__(
        self, classifier: Classifier, chosen: Sequence[Pair], watched: Watched, seed: int = 0
    ) -> None:
        self.classifier, self.seed, self._watched = classifier, seed, watched
        self.readings = [classifier.read(pair) for pair in chosen]
        self.clusters = premises(chosen)

    @cached_property
    def places(self) -> Places:
        return find(self.classifier, self.readings[0])

    @cached_property
    def patterns(self) -> list[Tensor]:
        """The attention of every pair, `[layer head query key]`."""
        return [attention.patterns(self.classifier, reading) for reading in self.readings]

    @cached_property
    def heads(self) -> pd.DataFrame:
        """layer, head: the rows of every array over heads."""
        layers, heads = range(self.places.n_layers), range(self.places.n_heads)
        return pd.DataFrame([(layer, head) for layer in layers for head in heads]).set_axis(
            ["layer", "head"], axis=1
        )

    @cached_property
    def removed(self) -> dict[str, Effects]:
        """The effects of every head, for each kind of removal."""
        mean = ablate.means(self.classifier, self.places, self.readings)
        values = {"zero": torch.zeros_like(mean), "mean": mean}
        found = {}
        for kind, value in values.items():
            columns = [
                ablate.ablated(self.classifier, self.places, reading, value).flatten().numpy()
                for reading in self._watched(self.readings, f"removing heads, {kind}, on pairs")
            ]
            found[kind] = np.stack(columns, -1)
        return found

    def batch_error(self) -> float:
        """How far the strongest head's effect in a batch is from that in a whole run of its own."""
        row = int(np.abs(self.removed["zero"][:, 0]).argmax())
        layer, head = map(int, self.heads.iloc[row])
        zero = torch.zeros(1, dtype=torch.float64)
        single = ablate.alone(self.classifier, self.places, self.readings[0], layer, head, zero)
        return abs(single - float(self.removed["zero"][row, 0]))

    def contest(self, top: int) -> choice.Contest:
        """Heads chosen on other premises, against random ones."""
        layers = self.heads["layer"].to_numpy()
        return choice.contest(self.removed["mean"], layers, self.clusters, top, self.seed)

    def tokens(self) -> pd.DataFrame:
        """pair, position, token, sentence, deleted and, if anything stands for nothing, masked."""
        token, frames = occlude.occluder(self.classifier), []
        for number, reading in enumerate(self._watched(self.readings, "hiding tokens of pairs"), 1):
            columns: dict[str, Any] = {"position": range(len(reading.strings))}
            columns |= {"token": reading.strings, "sentence": _numbered(reading)}
            columns["deleted"] = occlude.deleted(self.classifier, reading)
            if token is not None:
                columns["masked"] = occlude.masked(self.classifier, reading, token)
            frames.append(pd.DataFrame(columns).assign(pair=number))
        return pd.concat(frames, ignore_index=True).astype({"sentence": "Int64"})

    def parts(self) -> list[stream.Parts]:
        """The parts of the vector that is read, pair by pair."""
        watched = self._watched(self.readings, "taking the vector apart, pairs")
        return [stream.parts(self.classifier, self.places, reading) for reading in watched]

    def across(self) -> tuple[Effects, float]:
        """Each head's share of attention from sentence to sentence, and that of an even look."""
        both = list(zip(self.patterns, self.readings, strict=True))
        looks = [attention.across(pattern, reading).flatten().numpy() for pattern, reading in both]
        chance = np.mean([attention.chance(pattern, reading) for pattern, reading in both])
        return np.stack(looks, -1), float(chance)

    def terms(self) -> tuple[Float[np.ndarray, "component layer head"], float]:
        """The mean shares of the terms in the scores, and how far their sum is from the scores."""
        found = [disentangled.terms(self.classifier, reading) for reading in self.readings]
        both = zip(found, self.patterns, strict=True)
        error = max(disentangled.mismatch(each, pattern) for each, pattern in both)
        return torch.stack([disentangled.shares(each) for each in found]).mean(0).numpy(), error

    def without_term(self, term: str) -> tuple[Float[np.ndarray, "layer example"], np.ndarray]:
        """What the term's absence from one layer adds, and from all layers."""
        watched = self._watched(self.readings, f"taking {term} out, pairs")
        found = [disentangled.without(self.classifier, reading, term) for reading in watched]
        layers = np.stack([each.numpy() for each, _ in found], -1)
        return layers, np.array([everywhere for _, everywhere in found])

    def estimate(self, effects: np.ndarray) -> stats.Estimate:
        """Means over the pairs."""
        return stats.mean(effects, self.clusters, seed=self.seed)

    def estimates(self, names: pd.DataFrame, effects: np.ndarray, what: str) -> pd.DataFrame:
        """names, the mean (called `what`), ci_low, ci_high."""
        found = self.estimate(effects)
        return names.assign(**{what: found.value}, ci_low=found.low, ci_high=found.high)


def part_names(names: Sequence[stream.Part]) -> pd.DataFrame:
    """kind, layer, head of parts; no layer or head where they have none."""
    frame = pd.DataFrame([asdict(part) for part in names])
    return frame.replace(-1, pd.NA).astype({"layer": "Int64", "head": "Int64"})


def _numbered(reading: Reading) -> list[int | None]:
    return [None if each is None else each + 1 for each in reading.sentence]
