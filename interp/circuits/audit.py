"""What approximate scores of edges are worth: some of them beside the exact effects of the same edges.

Method  Edges are drawn by stratum: the strongest by magnitude, all of them; random ones of those whose
        score is nearly zero; and random ones of the others. Each is removed by itself from the whole model,
        everything after it computed again. In the whole graph an edge weighs as many as it was drawn for
        (one over its probability). A graph of no more edges than are asked for is audited edge by edge.
Units   The metric's unit, removed minus clean. The slope is of exact on score, through zero; on means of
        templates' means, and on single prompts.
Limits  Intervals are Student's t on leaving out one template at a time, and in sampled strata one edge
        at a time; the largest errors are of the edges that were drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.circuits.agreement import ALL, ByColumn, Columns, Values, Weights, rows
from interp.circuits.exact import edge_effects
from interp.circuits.graph import Cell, Edge, Graph
from interp.effects import Effects
from interp.errors import UsageError
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import logit_difference
from interp.stats import cluster_means
from interp.tasks import Task
from interp.tasks.base import task_of
from interp.transformer import Transformer

STRATA = ("strongest", "random", "zero")
# A score of less than this share of the largest is nearly zero.
ZERO = 1e-3
Over = Literal["means", "prompts"]


@dataclass(frozen=True)
class Drawn:
    """An edge of a sample: its stratum, and how probable it was that it would be drawn."""

    cell: Cell
    kind: str
    probability: float


def sample(
    graph: Graph, means: Float[np.ndarray, "reader writer *place"], number: int, seed: int = 0
) -> list[Drawn]:
    """So many edges of those that have a score, a third of each stratum; all of them where there are no
    more.

    Raises  UsageError where no edge has a score.
    """
    cells = [cell for cell in graph.cells() if np.isfinite(means[cell])]
    if not cells:
        raise UsageError("an audit is of edges that have a score; none has one")
    order = sorted(cells, key=lambda cell: -abs(means[cell]))
    size = min(number, len(order)) // len(STRATA)
    first = min(number, len(order)) - 2 * size
    rest = order[first:]
    tiny = sum(abs(means[cell]) <= ZERO * abs(means[order[0]]) for cell in rest)
    # Each of the sampled strata has at least as many edges as are drawn of it.
    split = len(rest) - int(np.clip(tiny, size, len(rest) - size))
    random = np.random.default_rng(seed)
    found = [Drawn(cell, STRATA[0], 1.0) for cell in order[:first]]
    for kind, pool in zip(STRATA[1:], (rest[:split], rest[split:]), strict=True):
        chosen = np.sort(random.permutation(len(pool))[:size])
        found += [Drawn(pool[at], kind, size / len(pool)) for at in chosen]
    return found


def drawn(
    graph: Graph, means: Float[np.ndarray, "reader writer *place"], number: int, seed: int = 0
) -> dict[Cell, str]:
    """The same edges with the stratum of each."""
    return {each.cell: each.kind for each in sample(graph, means, number, seed)}


def exact_effects(
    model: Transformer,
    graph: Graph,
    task: Task,
    cells: Sequence[Cell],
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    memory: int | None = None,
) -> Values:
    """The effect of removing each of these edges by itself, on every kept prompt."""
    edges = [graph.edge(*cell) for cell in cells]
    found = edge_effects(model, graph, task, edges, ablation, metric=metric, memory=memory)
    return found.values


@dataclass(frozen=True, eq=False)
class Audit:
    """Some edges, their stratum and probability, and their scores and exact effects on every prompt."""

    edges: list[Edge]
    kinds: list[str]
    probability: Weights
    score: Values
    exact: Values
    task: Task

    def frame(self) -> pd.DataFrame:
        """writer, reader, input, kind, score, exact and probability: one row an edge."""
        rows = [each.columns() for each in self.edges]
        score, exact = (_means(each, self.task).mean(-1) for each in (self.score, self.exact))
        return pd.DataFrame(rows).assign(
            kind=self.kinds, score=score, exact=exact, probability=self.probability
        )

    def on(self, graph: Graph) -> Float[np.ndarray, "reader writer *place"]:
        """The mean exact effect of every edge that was drawn; NaN for the others."""
        found = np.full(graph.allowed.shape, np.nan)
        for edge, value in zip(self.edges, _means(self.exact, self.task).mean(-1), strict=True):
            found[graph.at(edge)] = value
        return found

    @property
    def slope(self) -> float:
        """The exact effect for each unit of score, on means and in the whole graph."""
        return float(agreement(self.frame()).set_index("kind")["slope"][ALL])

    def agreement(self) -> pd.DataFrame:
        """over (means or prompts), kind, and what `interp.circuits.agreement.rows` says: a row for each
        stratum, and for the whole graph."""
        clusters = np.unique(self.task.clusters, return_inverse=True)[1]
        return pd.DataFrame(
            {"over": over, **row}
            for over in ("means", "prompts")
            for row in rows(self.kinds, self.probability, self._read(over, clusters))
        )

    def _read(self, over: str, clusters: np.ndarray) -> Columns:
        """Scores and exact effects without one template where that is asked for: of means one column."""

        def read(left_out: int | None) -> tuple[Values, Values, ByColumn]:
            weights = np.where(clusters == left_out, 0.0, 1.0 / np.bincount(clusters)[clusters])
            weights /= weights.sum()
            if over == "means":
                return (self.score @ weights)[:, None], (self.exact @ weights)[:, None], np.ones(1)
            return self.score, self.exact, weights

        return Columns(read, int(clusters.max()) + 1)


def audit_scores(
    model: Transformer,
    graph: Graph,
    task: Task,
    scores: Effects,
    number: int = 300,
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    memory: int | None = None,
    seed: int = 0,
) -> Audit:
    """Some edges of these scores, which are of the task's prompts, beside their exact effects.

    Raises  UsageError for scores of other prompts.
    """
    theirs, ours = ([each.clean_tokens for each in of.kept] for of in (task_of(scores.task), task))
    if theirs != ours:
        raise UsageError(
            f"an audit is of scores on the task's own {len(ours)} prompts, got some on {len(theirs)} others"
        )
    means = np.full(graph.allowed.shape, np.nan)
    row_of = {graph.at(edge): row for row, edge in enumerate(scores.components)}
    averages = _means(scores.values, task).mean(-1)
    for cell, row in row_of.items():
        means[cell] = averages[row]
    chosen = sample(graph, means, number, seed)
    cells = [each.cell for each in chosen]
    exact = exact_effects(model, graph, task, cells, ablation, metric=metric, memory=memory)
    return Audit(
        [graph.edge(*cell) for cell in cells],
        [each.kind for each in chosen],
        np.array([each.probability for each in chosen]),
        scores.values[[row_of[cell] for cell in cells]],
        exact,
        task,
    )


def audited(
    model: Transformer,
    graph: Graph,
    task: Task,
    means: Float[np.ndarray, "reader writer *place"],
    number: int = 300,
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    memory: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """The table of an audit of mean scores, where those of single prompts are not at hand."""
    chosen = sample(graph, means, number, seed)
    cells = [each.cell for each in chosen]
    exact = exact_effects(model, graph, task, cells, ablation, metric=metric, memory=memory)
    return pd.DataFrame([graph.edge(*cell).columns() for cell in cells]).assign(
        kind=[each.kind for each in chosen],
        score=[means[cell] for cell in cells],
        exact=_means(exact, task).mean(-1),
        probability=[each.probability for each in chosen],
    )


def agreement(table: pd.DataFrame, n_edges: int | None = None) -> pd.DataFrame:
    """The rows of `Audit.agreement` on means, from its table alone: without intervals. (How many edges the
    graph has is what probabilities say.)"""
    x, y = (table[name].to_numpy()[:, None] for name in ("score", "exact"))
    columns = Columns(lambda left_out: (x, y, np.ones(1)), 1)
    return pd.DataFrame(rows(table["kind"].tolist(), table["probability"].to_numpy(), columns))


def _means(values: Values, task: Task) -> Values:
    return cluster_means(values, task.clusters)
