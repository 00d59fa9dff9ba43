"""A classifier opened up on some pairs: every way of looking, as frames of numbers over the pairs.

What several ways share (places, patterns, effects of heads) is computed once, when first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp import stats
from interp.classifiers import (
    ablate,
    attention,
    choice,
    disentangled,
    moves,
    occlude,
    slices,
    stream,
)
from interp.classifiers.classifier import Classifier, Reading, told
from interp.classifiers.pairs import Pair, premises
from interp.classifiers.places import Places, find
from interp.components import Component, Head
from interp.errors import InterpError, NotApplicable

# Shows how far a loop over pairs is.
Watched = Callable[[Sequence[Any], str], Iterator[Any]]
Effects = Float[np.ndarray, "component example"]
P = ParamSpec("P")
T = TypeVar("T")
# Tables of these studies spell biases out.
_KINDS = {"attn_bias": "attention bias", "mlp_bias": "mlp bias"}


class Opened:
    """The classifier on these pairs. Effects are log-odds (of a regression its number), changed
    minus unchanged, one column a pair; intervals resample premises."""

    def __init__(
        self, classifier: Classifier, chosen: Sequence[Pair], watched: Watched, seed: int = 0
    ) -> None:
        self.classifier, self.seed, self._watched = classifier, seed, watched
        self.readings = [classifier.read(pair) for pair in chosen]
        self.clusters = premises(chosen)

    @cached_property
    def places(self) -> Places:
        found = find(self.classifier, self.readings[0])
        slices.check(self.classifier, found, self.readings[0])
        return found

    @cached_property
    def patterns(self) -> list[Tensor]:
        """The attention of every pair, `[layer head query key]`."""
        return [attention.patterns(self.classifier, reading) for reading in self.readings]

    @cached_property
    def heads(self) -> pd.DataFrame:
        """layer, head: the rows of every array over heads that can be removed."""
        return head_names(self.places.n_layers, self.places.n_heads)

    def _head(self, row: int) -> Head:
        return Head(*divmod(int(row), self.places.n_heads))

    @property
    def unit(self) -> str:
        """What effects are counted in."""
        return self.classifier.unit

    @property
    def dtype(self) -> torch.dtype:
        """The number format that the model computes in."""
        return next(self.classifier.model.parameters()).dtype

    @property
    def depth(self) -> int:
        """How often something is written to the residual stream, one after the other."""
        return 2 * int(getattr(self.classifier.config.get_text_config(), "num_hidden_layers", 1))

    def largest_decision(self) -> float:
        """The magnitude of the largest logit on the first pair, 1 at least."""
        logits = self.classifier.logits(self.readings[0].inputs)
        return max(1.0, float(logits.double().abs().max()))

    def by_layer(self, values: Any) -> Float[np.ndarray, "layer head"]:
        """Values of every head that can be removed, in order."""
        return np.reshape(values, (self.places.n_layers, -1))

    @cached_property
    def mean(self) -> Tensor:
        """The mean z of every head, `[layer head d_head]`."""
        return ablate.means(self.classifier, self.places, self.readings)

    @cached_property
    def removed(self) -> dict[str, Effects]:
        """The effects of every head, for each kind of removal."""
        values = {"zero": torch.zeros_like(self.mean), "mean": self.mean}
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
        zero = torch.zeros(1, dtype=torch.float64)
        single = ablate.alone(self.classifier, self.places, self.readings[0], self._head(row), zero)
        return abs(single - float(self.removed["zero"][row, 0]))

    def contest(self, top: int) -> choice.Contest:
        """Heads chosen on other premises, against random ones."""
        layers = self.heads["layer"].to_numpy()
        return choice.contest(self.removed["mean"], layers, self.clusters, top, self.seed)

    def trial(self, top: int) -> choice.Trial:
        """Heads chosen on one half of the clusters, put to the test on the other."""

        def controls(rows: np.ndarray, pairs: np.ndarray) -> dict[str, Effects]:
            chosen = [self._head(row) for row in rows]
            given = [self.readings[pair] for pair in pairs]
            clusters = self.clusters[pairs]
            return moves.moved(
                self.classifier, self.places, given, clusters, self.mean, chosen, self.seed
            )

        layers = self.heads["layer"].to_numpy()
        return choice.trial(self.removed["mean"], layers, self.clusters, top, controls, self.seed)

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
        """Each head's share of attention from sentence to sentence, and that of an even spread."""
        both = list(zip(self.patterns, self.readings, strict=True))
        looks = [attention.across(pattern, reading).flatten().numpy() for pattern, reading in both]
        chance = np.mean([attention.chance(pattern, reading) for pattern, reading in both])
        return np.stack(looks, -1), float(chance)

    def strongest(self, looks: Effects, most: int = 6) -> tuple[np.ndarray, str, str]:
        """The rows of the heads that count most when removed, what they do, and how that goes with
        where heads look; of those that look across most, where heads cannot be removed."""
        try:
            effects = np.abs(self.removed["mean"].mean(-1))
        except Exception:  # the views of heads say what went wrong
            effects, which = looks.mean(-1), "look across most"
            beside = "what these heads do is not known, since they were not removed"
        else:
            rank, which = stats.rank_correlation(looks.mean(-1), effects), "count most"
            beside = (
                f"the rank correlation with the size of its effect is {float(rank.value):.2f} "
                f"[{float(rank.low):.2f}, {float(rank.high):.2f}]"
            )
        return np.argsort(-effects, kind="stable")[:most], which, beside

    def terms(self) -> tuple[Float[np.ndarray, "component layer head"], float, float]:
        """The mean shares of the terms in the scores, how far their sum is from the scores, and the
        largest score."""
        found = [disentangled.terms(self.classifier, reading) for reading in self.readings]
        both = zip(found, self.patterns, strict=True)
        smallest = torch.finfo(self.dtype).tiny
        error = max(disentangled.mismatch(each, pattern, smallest) for each, pattern in both)
        largest = max(float(each.abs().sum(0).max()) for each in found)
        shares = torch.stack([disentangled.shares(each) for each in found]).mean(0).numpy()
        return shares, error, largest

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


def isolated(look: Callable[P, T]) -> Callable[P, T]:
    """This way of looking, whose errors are reasons to leave it out: other people's models have
    layers that nobody here has seen, and one view that fails takes no other along.

    Raises  NotApplicable for whatever goes wrong inside.
    """

    @wraps(look)
    def looked(*given: P.args, **named: P.kwargs) -> T:
        try:
            return look(*given, **named)
        except NotApplicable:
            raise
        except InterpError as error:
            raise NotApplicable(str(error)) from error
        except Exception as error:
            raise NotApplicable(f"looking this way ended with an error, {told(error)}") from error

    return looked


def head_names(n_layers: int, n_heads: int) -> pd.DataFrame:
    """layer, head of so many, one row each."""
    every = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return pd.DataFrame(every, columns=["layer", "head"])


def part_names(names: Sequence[Component]) -> pd.DataFrame:
    """kind, layer, head of components; no layer or head where they have none."""
    columns = ["kind", "layer", "head"]
    rows = [{"kind": _KINDS.get(each.kind, each.kind), **each.columns()} for each in names]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "Int64", "head": "Int64"})


def _numbered(reading: Reading) -> list[int | None]:
    return [None if each is None else each + 1 for each in reading.sentence]
