"""How often the judge of circuits says what where nothing was found, at the bounds, and where a circuit was
planted.

What a chosen circuit, many random ones, the whole model and the empty circuit do on every fresh prompt is
stored once; the verdict is then made again and again from it:

- `random circuit`: one of the random circuits stands in the place of the chosen one, beside others of them;
- `answers by prompt`, `answers by template`: right and wrong answer change places at random, for all circuits
  and the model alike, and a random circuit is chosen, as scores of such answers would;
- `at the floor`, `at the ceiling`: the chosen circuit does just so much of the gap, and its deviations from
  that are turned round for whole templates at random: neither verdict is true of it;
- `planted whole`: so made, a circuit that does all of the gap; `planted half`: one that does half of it,
  which is not supported.

A model that does no more than the empty circuit has nothing of which a circuit could have a share: the study
says so, and that counts as inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from interp import stats
from interp.circuits.controls import random_circuits
from interp.circuits.evaluate import evaluate
from interp.circuits.graph import Graph
from interp.circuits.rule import decide
from interp.circuits.search import FEW, edge_scores, mean_scores, smallest
from interp.methods.ablate import Named
from interp.stats.effects import Clusters
from interp.tasks import Task
from interp.transformer import Transformer

CONTROLS, RANDOM = 39, 79
FLOOR = 0.8
Verdicts = Callable[["StoredCircuit", np.random.Generator], str]
Each = Float[np.ndarray, " example"]


@dataclass(frozen=True)
class StoredCircuit:
    """What a circuit, `random` ones of its size, the whole model and the empty circuit do on each prompt."""

    chosen: Each
    random: Float[np.ndarray, "circuit example"]
    whole: Each
    empty: Each
    clusters: Clusters
    floor: float = FLOOR

    @property
    def gap(self) -> Each:
        """What the whole model does more than the empty circuit."""
        return self.whole - self.empty

    def arrays(self) -> tuple[np.ndarray, ...]:
        """All that verdicts are made from."""
        return self.chosen, self.random, self.whole, self.empty

    def verdict(self, random: np.random.Generator) -> str:
        """What the rule says of the chosen circuit beside so many of the random ones."""
        seed = int(random.integers(2**31))
        if not float(stats.mean(self.gap, self.clusters, seed=seed).low) > 0:
            return "inconclusive"
        rows = random.permutation(len(self.random))[:CONTROLS]
        more = self.chosen - self.random[rows]
        ahead = stats.ratio_of_means(more, self.gap, self.clusters, seed=seed)
        own = (self.chosen - self.empty)[None]
        found = stats.ratio_of_means(own, self.gap, self.clusters, seed=seed)
        value, low, high = (np.asarray(each[0]) for each in (found.value, found.low, found.high))
        return decide(
            replace(found, value=value, low=low, high=high), ahead.low, self.floor
        ).verdict

    def exchanged(self, random: np.random.Generator) -> StoredCircuit:
        """The same with one of the random circuits in the place of the chosen one."""
        row = int(random.integers(len(self.random)))
        return replace(self, chosen=self.random[row], random=np.delete(self.random, row, 0))

    def doing(self, share: float, random: np.random.Generator) -> StoredCircuit:
        """The same with a circuit that does this share of the gap, with the chosen one's deviations, turned
        round for whole templates at random."""
        own = self.chosen - self.empty
        of = stats.ratio_of_means(own[None], self.gap, self.clusters, draws=1).value[0]
        rest = (own - of * self.gap) * _turns(self.clusters, random)
        # What is left of a mean after turning is the chance that intervals are for.
        return replace(self, chosen=self.empty + share * self.gap + rest)

    def turned(self, groups: Clusters, random: np.random.Generator) -> StoredCircuit:
        """The same with right and wrong answer exchanged at random for each of these groups of prompts."""
        signs = _turns(groups, random)
        chosen, others, whole, empty = (each * signs for each in self.arrays())
        return replace(self, chosen=chosen, random=others, whole=whole, empty=empty)


def _turns(groups: Clusters, random: np.random.Generator) -> Each:
    which = np.unique(groups, return_inverse=True)[1]
    signs: np.ndarray = random.choice([-1.0, 1.0], int(which.max()) + 1)[which]
    return signs


def _at(share: Callable[[float], float]) -> Verdicts:
    return lambda stored, random: stored.doing(share(stored.floor), random).verdict(random)


def _answers(by_template: bool) -> Verdicts:
    def verdict(stored: StoredCircuit, random: np.random.Generator) -> str:
        groups = stored.clusters if by_template else np.arange(len(stored.clusters))
        return stored.exchanged(random).turned(groups, random).verdict(random)

    return verdict


NULLS: dict[str, Verdicts] = {
    "random circuit": lambda stored, random: stored.exchanged(random).verdict(random),
    "answers by prompt": _answers(by_template=False),
    "answers by template": _answers(by_template=True),
    "at the floor": _at(lambda floor: floor),
    "at the ceiling": _at(lambda floor: 2 - floor),
}
PLANTED: dict[str, Verdicts] = {
    "planted whole": _at(lambda floor: 1.0),
    "planted half": _at(lambda floor: 0.5),
}
# What has to be said of what was planted.
RIGHT = {"planted whole": "supported", "planted half": "not supported"}


def stored(
    model: Transformer, task: Task, ablation: Named = "resample", *, steps: int = 5, seed: int = 0
) -> StoredCircuit:
    """The circuit that the study chooses, and random ones of its size, on all fresh prompts.

    Raises  NotApplicable as the search does, and where there are not so many random circuits.
    """
    half, graph = task.only(task.where(half="discovery")), Graph.of(model)
    means = mean_scores(graph, edge_scores(model, graph, half, ablation, steps=steps))
    found = smallest(model, graph, half, means, FLOOR, ablation, fractions=FEW)
    others = random_circuits(graph, found.kept, RANDOM, seed)
    fresh = task.confirmation
    done = evaluate(model, graph, fresh, [found.kept, *others], ablation)
    return StoredCircuit(
        done.metric[0], done.metric[1:], done.whole, done.empty, fresh.clusters, FLOOR
    )
