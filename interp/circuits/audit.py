"""What approximate scores of edges are worth: some of them beside the exact effects of the same edges.

Method  Edges are drawn by stratum: the strongest by magnitude, random ones of the others, and the weakest.
        Each is removed by itself from the whole model, everything after it computed again.
Units   The metric's unit, removed minus clean, mean of templates' means. The slope is of exact on score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.circuits.evaluate import evaluate
from interp.circuits.graph import Cell, Graph
from interp.circuits.run import BLOCK
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import logit_difference
from interp.stats import cluster_means
from interp.tasks import Task
from interp.transformer import Transformer

STRATA = ("strongest", "random", "zero")


def exact_effects(
    model: Transformer,
    graph: Graph,
    task: Task,
    cells: Sequence[Cell],
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    memory: int = BLOCK,
) -> Float[np.ndarray, "edge example"]:
    """The effect of removing each of these edges by itself, on every kept prompt."""
    masks = []
    for cell in cells:
        mask = graph.allowed.copy()
        mask[cell] = False
        masks.append(mask)
    found = evaluate(model, graph, task, masks, ablation, metric=metric, memory=memory)
    effects: np.ndarray = found.metric - found.whole
    return effects


def drawn(
    graph: Graph, means: Float[np.ndarray, "reader writer *place"], number: int, seed: int = 0
) -> dict[Cell, str]:
    """So many edges, a third of each stratum, with the stratum of each; edges without a score are none."""
    cells = [cell for cell in graph.cells() if np.isfinite(means[cell])]
    order = sorted(cells, key=lambda cell: -abs(means[cell]))
    size = min(number, len(order)) // len(STRATA)
    random = np.random.default_rng(seed)
    middle = order[size : len(order) - size]
    picked = [middle[at] for at in random.permutation(len(middle))[:size]]
    groups = (order[:size], picked, order[len(order) - size :])
    return {cell: name for name, group in zip(STRATA, groups, strict=True) for cell in group}


def audited(
    model: Transformer,
    graph: Graph,
    task: Task,
    means: Float[np.ndarray, "reader writer *place"],
    number: int = 300,
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    memory: int = BLOCK,
    seed: int = 0,
) -> pd.DataFrame:
    """writer, reader, input, kind, score and exact: one row an edge that was drawn."""
    strata = drawn(graph, means, number, seed)
    exact = exact_effects(model, graph, task, [*strata], ablation, metric=metric, memory=memory)
    rows = [
        {**graph.edge(*cell).columns(), "kind": kind, "score": means[cell]}
        for cell, kind in strata.items()
    ]
    return pd.DataFrame(rows).assign(exact=cluster_means(exact, task.clusters).mean(-1))


def agreement(audit: pd.DataFrame, n_edges: int) -> pd.DataFrame:
    """kind, n, slope, pearson, same_sign and largest_error of each stratum, and of all `n_edges` that have a
    score, in which every edge weighs as many as it was drawn for."""
    size = len(audit) // len(STRATA)
    weights = {"strongest": 1.0, "zero": 1.0, "random": (n_edges - 2 * size) / max(size, 1)}
    rows = [
        {"kind": kind, **_agree(some, np.ones(len(some)))}
        for kind, some in audit.groupby("kind", sort=False)
    ]
    rows.append({"kind": "all edges", **_agree(audit, audit["kind"].map(weights).to_numpy())})
    return pd.DataFrame(rows)


def _agree(some: pd.DataFrame, weights: Float[np.ndarray, " edge"]) -> dict[str, float]:
    x, y = some["score"].to_numpy(), some["exact"].to_numpy()
    weights = weights / weights.sum()
    x_mean, y_mean = weights @ x, weights @ y
    xx, yy = weights @ (x - x_mean) ** 2, weights @ (y - y_mean) ** 2
    xy = weights @ ((x - x_mean) * (y - y_mean))
    steep = weights @ x**2
    return {
        "n": len(some),
        "slope": float(weights @ (x * y) / steep) if steep > 0 else np.nan,
        "pearson": float(xy / np.sqrt(xx * yy)) if xx > 0 and yy > 0 else np.nan,
        "same_sign": float(weights @ (np.sign(x) == np.sign(y))),
        "largest_error": float(np.abs(x - y).max()),
    }
