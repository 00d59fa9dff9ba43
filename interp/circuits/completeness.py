"""Does a circuit have all that the model uses? Without the same components both should do the same.

Method  |m(C without K) - m(M without K)| for sets K of the circuit's components: those of each layer, each
        role that is given, random ones (each component with a chance of a half), and a greedy one. Without K
        no reader reads what its components write; without the embedding nothing is left of either, so that it
        is in none. The greedy K is chosen on the prompts of `choose_on`: of
        ten components drawn at each step the one is added that drives the two furthest apart, and only its
        value on other prompts is reported.
Units   The metric's unit, means of templates' means; `share` of what the model does more than the empty
        circuit.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593 (completeness and the greedy K).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interp import stats
from interp.circuits.evaluate import Evaluation, evaluate
from interp.circuits.graph import Graph, Mask
from interp.circuits.run import BLOCK
from interp.components import Component
from interp.errors import UsageError, brief
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import logit_difference
from interp.stats import cluster_means
from interp.tasks import Task
from interp.transformer import Transformer

RANDOM = 20
_STEPS = 10
_AT_A_STEP = 10
Columns = frozenset[int]


@dataclass(frozen=True, eq=False)
class _Pair:
    """A circuit and its model, from which the same components are removed."""

    model: Transformer
    graph: Graph
    kept: Mask
    ablation: Named
    metric: Measure
    memory: int

    def without(self, task: Task, sets: Sequence[Columns]) -> Evaluation:
        """Circuits without these writers, and then models without them."""
        masks = []
        for whole in (self.kept, self.graph.allowed):
            for columns in sets:
                mask = whole.copy()
                mask[:, sorted(columns)] = False
                masks.append(mask)
        return evaluate(
            self.model,
            self.graph,
            task,
            masks,
            self.ablation,
            metric=self.metric,
            memory=self.memory,
        )


def completeness(
    model: Transformer,
    graph: Graph,
    task: Task,
    kept: Mask,
    choose_on: Task,
    ablation: Named = "resample",
    *,
    roles: Mapping[str, Iterable[Component]] | None = None,
    random: int = RANDOM,
    metric: Measure = logit_difference,
    memory: int = BLOCK,
    seed: int = 0,
) -> pd.DataFrame:
    """kind (layer, role, random, greedy), removed, n_components, circuit, model, difference, ci_low, ci_high
    (of circuit minus model) and share: one row a set K.

    Raises  UsageError for a circuit without heads and MLPs, and for a role of other components.
    """
    pair = _Pair(model, graph, kept, ablation, metric, memory)
    members = [
        int(column)
        for column in np.flatnonzero(kept.any(0))
        if graph.writers[column].layer is not None
    ]
    if not members:
        raise UsageError("a circuit without heads and MLPs has no component that could be removed")
    chance = np.random.default_rng(seed)
    sets: list[tuple[str, str, Columns]] = []
    for layer in dict.fromkeys(graph.writers[column].layer for column in members):
        group = frozenset(each for each in members if graph.writers[each].layer == layer)
        sets.append(("layer", f"layer {layer}", group))
    for name, components in (roles or {}).items():
        sets.append(("role", name, _columns(graph, members, name, components)))
    for group in _halves(members, random, chance):
        sets.append(("random", "", group))
    sets.append(("greedy", "", _greedy(pair, choose_on, members, chance)))
    done = pair.without(task, [group for *_, group in sets])
    here, there = np.split(done.metric, 2)
    found = stats.mean(here - there, task.clusters, seed=seed)
    gap = float(cluster_means(done.gap[None], task.clusters).mean())
    frame = pd.DataFrame(
        {
            "kind": [kind for kind, *_ in sets],
            "removed": [name or _named(graph, group) for _, name, group in sets],
            "n_components": [len(group) for *_, group in sets],
            "circuit": cluster_means(here, task.clusters).mean(-1),
            "model": cluster_means(there, task.clusters).mean(-1),
            "difference": found.value,
            "ci_low": found.low,
            "ci_high": found.high,
        }
    )
    return frame.assign(share=frame["difference"].abs() / gap)


def _halves(members: Sequence[int], number: int, random: np.random.Generator) -> list[Columns]:
    """Different sets in which each of the members is with a chance of a half, or as many as there are."""
    found: set[Columns] = set()
    number = min(number, 2 ** len(members) - 1)
    while len(found) < number:
        drawn = frozenset(each for each in members if random.random() < 0.5)
        found |= {drawn} if drawn else set()
    return sorted(found, key=sorted)


def _greedy(
    pair: _Pair, task: Task, members: Sequence[int], random: np.random.Generator
) -> Columns:
    """The set that drives circuit and model furthest apart on these prompts."""
    chosen: Columns = frozenset()
    best = -1.0
    for _ in range(min(_STEPS, len(members))):
        left = [each for each in members if each not in chosen]
        drawn = [left[at] for at in random.permutation(len(left))[:_AT_A_STEP]]
        sets = [chosen | {each} for each in drawn]
        here, there = np.split(pair.without(task, sets).metric, 2)
        apart = np.abs(cluster_means(here - there, task.clusters).mean(-1))
        if apart.max() <= best:
            break
        best, chosen = float(apart.max()), sets[int(apart.argmax())]
    return chosen


def _columns(
    graph: Graph, members: Sequence[int], name: str, components: Iterable[Component]
) -> Columns:
    known = {graph.writers[column]: column for column in members}
    asked = list(components)
    if missing := [str(each) for each in asked if each not in known]:
        raise UsageError(
            f"the role {brief(name)} has {brief(missing[0])}, which no kept edge of the circuit begins at"
        )
    return frozenset(known[each] for each in asked)


def _named(graph: Graph, columns: Columns) -> str:
    return ", ".join(str(graph.writers[each]) for each in sorted(columns)) or "nothing"
