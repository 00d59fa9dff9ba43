"""Edges removed one after the other, from the last reader to the first, while the circuit stays as near to
the whole model.

Method  With H the current circuit and d its distance from the whole model, an edge goes if d(H without it)
        minus d(H) is below tau. d is the divergence of the next-token distributions, or for another metric
        how far its mean is from the whole model's. Before the current reader everything is the clean run,
        and after it only what kept edges lead to is computed. Several edges are tried together, as if all
        before each were to go; the longest beginning that the rule itself accepts goes. Decisions nearer to
        tau than rounding are made by running both circuits whole, so that the result is that of the plain
        loop.
Units   d: nats, or the metric's unit; mean of templates' means.
Source  Conmy et al. 2023, Towards Automated Circuit Discovery, arXiv:2304.14997.
"""

from collections.abc import Callable, Sequence

import pandas as pd
import torch

from interp.circuits.graph import Graph
from interp.circuits.removal import Pruned, Search
from interp.circuits.run import BLOCK
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import KLToBase, Metric
from interp.tasks import Task
from interp.tasks.batches import PromptBatch
from interp.transformer import Transformer


def kl(batch: PromptBatch) -> Metric:
    """The divergence from the whole model at each prompt's end."""
    return KLToBase()


@torch.no_grad()
def acdc(
    model: Transformer,
    graph: Graph,
    task: Task,
    tau: float,
    ablation: Named = "resample",
    *,
    metric: Measure = kl,
    backward: bool = True,
    memory: int = BLOCK,
) -> Pruned:
    """The circuit that is left when every edge was asked in turn, writers of each reader from the last to the
    first; with `backward` False heads of a layer, and writers, in the opposite order. Where a folder for
    checkpoints is set, a search that was cut off goes on.

    Raises  UsageError for a tau that is no positive number, or so large that every edge may go at once, for a
            graph with places, and where the empty circuit is as near as the whole model.

    >>> graph = Graph.of(model)
    >>> found = acdc(model, graph, task, 0.01)
    >>> found.distance < found.empty
    True
    """

    def order(columns: Sequence[int], _: Callable[[Sequence[int]], list[float]]) -> list[int]:
        return list(columns)

    return Search(model, graph, task, tau, ablation, metric, memory).run(
        rows(graph, backward), order, backward, "acdc"
    )


def rows(graph: Graph, backward: bool = True) -> list[int]:
    """Readers from the last to the first; or those of a layer's attention in the opposite order."""
    found = list(range(len(graph.readers)))[::-1]
    if backward:
        return found

    def place(row: int) -> tuple[int, bool, int]:
        each = graph.readers[row]
        layer = len(graph.readers) if each.component.layer is None else each.component.layer
        return -layer, each.input in ("q", "k", "v"), row

    return sorted(found, key=place)


def orders(first: Pruned, second: Pruned) -> pd.DataFrame:
    """order, edges, distance, and overlap (edges in both among those in either): one row for each of two
    orders in which heads were traversed."""
    both, either = (first.kept & second.kept).sum(), (first.kept | second.kept).sum()
    return pd.DataFrame(
        {
            "order": ["last to first", "first to last"],
            "edges": [int(each.kept.sum()) for each in (first, second)],
            "distance": [first.distance, second.distance],
            "overlap": float(both / either) if either else 1.0,
        }
    )
