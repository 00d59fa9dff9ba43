"""A classifier opened up on some pairs: what tokens, heads, components and terms do, as effects on the pairs.

What several kinds of evidence share (places, patterns, effects of heads) is computed once, when first
asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.classifiers import ablate, attention, disentangled, occlude, stream
from interp.classifiers.classifier import Classifier, Reading, told
from interp.classifiers.pairs import Pair, Pairs
from interp.classifiers.places import Places, find
from interp.components import Component, Head
from interp.effects import Effects, Selection, Test
from interp.errors import InterpError, NotApplicable

# Shows how far a loop over pairs is.
Watched = Callable[[Sequence[Any], str], Iterator[Any]]
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
        self.pairs = Pairs.of(chosen)

    @cached_property
    def places(self) -> Places:
        found = find(self.classifier, self.readings[0])
        attention.check_heads(self.classifier, found, self.readings[0])
        return found

    @cached_property
    def patterns(self) -> list[Tensor]:
        """The attention of every pair, `[layer head query key]`."""
        return [attention.patterns(self.classifier, reading) for reading in self.readings]

    @cached_property
    def heads(self) -> list[Head]:
        """The heads that can be removed, layer by layer."""
        return heads_of(self.places.n_layers, self.places.n_heads)

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
            found[kind] = Effects(np.stack(columns, -1), self.heads, self.pairs, self.unit)
        return found

    def batch_error(self) -> float:
        """How far the strongest head's effect in a batch is from that in a whole run of its own."""
        effects = self.removed["zero"].values[:, 0]
        row, zero = int(np.abs(effects).argmax()), torch.zeros(1, dtype=torch.float64)
        single = ablate.alone(self.classifier, self.places, self.readings[0], self.heads[row], zero)
        return abs(single - float(effects[row]))

    def test(self, top: int) -> Test:
        """The heads that move the decision most on half of the clusters, put to the test on the other
        half, beside as long moves of their z in other directions."""
        screen = self.removed["mean"]
        chosen = screen.select(min(top, len(screen)))
        fresh = screen.only(chosen.rows).where(chosen.held_out)
        return chosen.test(fresh, self._moved(chosen, fresh), seed=self.seed)

    def _moved(self, chosen: Selection, fresh: Effects) -> dict[str, Effects]:
        readings = [self.readings[pair] for pair in np.flatnonzero(chosen.held_out)]
        given = self.classifier, self.places, readings, fresh.task.clusters, self.mean
        found = ablate.moved(*given, chosen.components, self.seed)
        return {way: replace(fresh, values=values) for way, values in found.items()}

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
        shares = [attention.across(pattern, reading).flatten().numpy() for pattern, reading in both]
        chance = np.mean([attention.chance(pattern, reading) for pattern, reading in both])
        n_layers, n_heads, *_ = self.patterns[0].shape
        heads = heads_of(n_layers, n_heads)
        found = Effects(np.stack(shares, -1), heads, self.pairs, "share of attention", signed=False)
        return found, float(chance)

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

    def without_term(self, term: str) -> tuple[Effects, Effects]:
        """What the term's absence from each layer adds, and from all layers."""
        watched = self._watched(self.readings, f"taking {term} out, pairs")
        found = [disentangled.without(self.classifier, reading, term) for reading in watched]
        layers = np.stack([each.numpy() for each, _ in found], -1)
        everywhere = np.array([[each for _, each in found]])
        named = pd.DataFrame({"term": [term]})
        return (
            Effects(layers, list(range(len(layers))), self.pairs, self.unit),
            Effects(everywhere, [term], self.pairs, self.unit, named=named),
        )

    def estimates(self, effects: Effects, what: str = "effect") -> pd.DataFrame:
        """The names of the components, the mean over the pairs (called `what`), ci_low, ci_high."""
        found = effects.interval(self.seed)
        return effects.names.assign(**{what: found.value}, ci_low=found.low, ci_high=found.high)


def isolated(kind: Callable[P, T]) -> Callable[P, T]:
    """This kind of evidence, whose errors are reasons to leave it out: other people's models have
    layers that nobody here has seen, and one kind that fails takes no other along.

    Raises  NotApplicable for whatever goes wrong inside.
    """

    @wraps(kind)
    def found(*given: P.args, **named: P.kwargs) -> T:
        try:
            return kind(*given, **named)
        except NotApplicable:
            raise
        except InterpError as error:
            raise NotApplicable(str(error)) from error
        except Exception as error:
            raise NotApplicable(
                f"this kind of evidence ended with an error, {told(error)}"
            ) from error

    return found


def heads_of(n_layers: int, n_heads: int) -> list[Head]:
    """So many heads, layer by layer."""
    return [Head(layer, head) for layer in range(n_layers) for head in range(n_heads)]


def part_names(names: Sequence[Component]) -> pd.DataFrame:
    """kind, layer, head of components; no layer or head where they have none."""
    columns = ["kind", "layer", "head"]
    rows = [{"kind": _KINDS.get(each.kind, each.kind), **each.columns()} for each in names]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "Int64", "head": "Int64"})


def _numbered(reading: Reading) -> list[int | None]:
    return [None if each is None else each + 1 for each in reading.sentence]
