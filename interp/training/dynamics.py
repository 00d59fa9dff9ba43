"""What grows inside a model while it learns to continue repeated sequences.

At chosen steps the model is measured on sequences that no step read: its loss on both copies, every
head's scores, and how strongly earlier heads feed the keys of later ones.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.components import Head
from interp.methods import composition
from interp.methods.induction import Scores, head_scores
from interp.methods.repetition import Repetition, losses
from interp.training.data import Repeats
from interp.training.loop import Recipe, optimizer, train
from interp.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Moment:
    """The model after so many steps. `first` and `second` are the losses, in nats per token, on both
    copies of each sequence (the first token left out); `composition` is that of earlier heads' OV with
    later heads' keys, `turned` that of random pairs with the stream turned between them."""

    step: int
    first: Float[np.ndarray, " example"]
    second: Float[np.ndarray, " example"]
    scores: Scores
    composition: Float[Tensor, "layer head layer head"]
    turned: Float[Tensor, " component"]

    @property
    def gained(self) -> Float[np.ndarray, " example"]:
        """How much less the second copy of each sequence costs than the first."""
        return self.first - self.second


class Circuit(NamedTuple):
    """The head of the second layer that matches a token with its earlier copy, and the head of the first
    that tells it what stood before."""

    follower: Head
    before: Head

    def fed(self, moment: Moment) -> float:
        """The composition of the two."""
        (to, follower), (of, before) = ((each.layer, each.index) for each in self)
        return float(moment.composition[of, before, to, follower])


def circuit(moment: Moment, half: int) -> Circuit:
    """The second layer's best induction head and the first layer's best previous-token head on the first
    `half` of the sequences, which leaves the others to judge them."""
    found = {name: each[..., :half] for name, each in moment.scores.values.items()}
    first = Scores(found, moment.scores.chance)
    layer = [head for head in first.ranked("induction") if head.layer == 1]
    return Circuit(layer[0], first.ranked("previous_token", below=1)[0])


def course(moments: Sequence[Moment], of: Circuit) -> pd.DataFrame:
    """step, first, second, gained, induction, previous_token and composition of the circuit: one row a
    moment."""
    rows = [
        {
            "step": each.step,
            "first": float(each.first.mean()),
            "second": float(each.second.mean()),
            "gained": float(each.gained.mean()),
            "induction": float(each.scores.of("induction", of.follower).mean()),
            "previous_token": float(each.scores.of("previous_token", of.before).mean()),
            "composition": of.fed(each),
        }
        for each in moments
    ]
    return pd.DataFrame(rows)


def best_heads(moments: Sequence[Moment]) -> pd.DataFrame:
    """step, best_induction, chance and gained: one row a moment."""
    rows = [
        {
            "step": each.step,
            "best_induction": each.scores.means()["induction"].max(),
            "chance": float(each.scores.chance["induction"][1]),
            "gained": float(each.gained.mean()),
        }
        for each in moments
    ]
    return pd.DataFrame(rows)


def every_head(moments: Sequence[Moment]) -> pd.DataFrame:
    """step, layer, head, and every score of each head, mean over sequences."""
    frames = {each.step: each.scores.frame() for each in moments}
    return pd.concat(frames, names=["step"]).reset_index("step").reset_index(drop=True)


def composed(moments: Sequence[Moment], of: Circuit) -> pd.DataFrame:
    """The composition of the circuit beside that of all pairs of a head of the first and one of the second
    layer, and of pairs with the stream turned at random between them: one row a moment."""
    rows = []
    for each in moments:
        pairs = each.composition[0, :, 1].flatten()
        rows.append(
            {
                "step": each.step,
                "the_pair": of.fed(each),
                "median_pair": float(pairs.median()),
                "pairs_below": int((pairs < of.fed(each)).sum()),
                "median_when_turned": float(each.turned.median()),
                "highest_when_turned": float(each.turned.max()),
            }
        )
    return pd.DataFrame(rows)


def rise(values: Sequence[float]) -> tuple[int, int]:
    """Of values that grow, the last place before a tenth of the way to the highest is passed, and the first
    beyond nine tenths."""
    way = (np.array(values) - values[0]) / max(max(values) - values[0], 1e-9)
    above = int(np.argmax(way > 0.1))
    return max(above - 1, 0), int(np.argmax(way > 0.9))


def probe(source: Repeats, count: int, seed: int) -> Repetition:
    """Sequences of half the context, twice after the beginning, no token twice in a sequence."""
    length = (source.n_ctx - 1) // 2
    generator = torch.Generator().manual_seed(seed)
    usual = torch.arange(source.first, source.size)
    drawn = [usual[torch.randperm(len(usual), generator=generator)[:length]] for _ in range(count)]
    once = torch.stack(drawn)
    begin = torch.full((count, 1), source.begin)
    return Repetition(torch.cat([begin, once, once], dim=1), 1, length, 2)


def measure(model: Transformer, of: Repetition, step: int) -> Moment:
    """The model as it is now."""
    scores = head_scores(model, of)
    first, second = (each.mean(-1) for each in of.by_copy(losses(model, of)))
    fed = composition.compositions(model, "K")
    return Moment(step, first, second, scores, fed.scores, fed.baseline)


def watch(
    model: Transformer, source: Repeats, recipe: Recipe, of: Repetition, steps: Collection[int]
) -> Iterator[Moment]:
    """Trains the model, and measures it before the first step and after each of `steps`."""
    model.eval()
    yield measure(model, of, 0)
    for step in train(model, source.batch, recipe, optimizer(model, recipe)):
        if step.number in steps:
            yield measure(model, of, step.number)
