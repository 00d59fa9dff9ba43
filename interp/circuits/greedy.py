"""Edges removed reader by reader, those first whose removal alone costs least.

Method  As `interp.circuits.acdc`, from the last reader to the first, but the edges into a reader are first
        removed each by itself from the current circuit, and then asked in turn from the least costly to the
        most costly: the result does not hang on an order of writers. Of inputs that stand in for one another
        (an OR) it keeps one.
Units   Distance from the whole model: nats, or the metric's unit; mean of templates' means.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from interp.circuits.acdc import kl, rows
from interp.circuits.graph import Graph
from interp.circuits.removal import Pruned, Search
from interp.circuits.run import BLOCK
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.tasks import Task
from interp.transformer import Transformer

# Costs that differ by less than this share of tau are alike: the later writer goes first.
_ALIKE = 1e-3


@torch.no_grad()
def greedy(
    model: Transformer,
    graph: Graph,
    task: Task,
    tau: float,
    ablation: Named = "resample",
    *,
    metric: Measure = kl,
    memory: int = BLOCK,
) -> Pruned:
    """The circuit that is left when every edge was asked.

    Raises  UsageError as `acdc` does.

    >>> graph = Graph.of(model)
    >>> int(greedy(model, graph, task, 0.01).kept.sum()) < graph.n_edges
    True
    """

    def order(columns: Sequence[int], cost: Callable[[Sequence[int]], list[float]]) -> list[int]:
        return [columns[at] for at in cheapest(cost(columns), tau)]

    search = Search(model, graph, task, tau, ablation, metric, memory)
    return search.run(rows(graph), order, True, "greedy")


def cheapest(costs: Sequence[float], tau: float) -> list[int]:
    """The numbers of these costs from the smallest to the largest, alike ones as they stand."""
    steps = np.floor(np.asarray(costs) / (_ALIKE * tau))
    return [int(each) for each in np.argsort(steps, kind="stable")]
