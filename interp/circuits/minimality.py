"""Is every edge of a circuit needed? Each is removed from it, and beside that random edges are added to it.

Method  m(C) - m(C without e) within the circuit, for all edges, or for a sample of them in which the
        strongest third are all of that many and the others are drawn alike. Beside it m(C with e) - m(C) for
        random edges outside of the circuit that lead from a component which it reaches to one that it reads.
Units   The metric's unit; positive: the edge helps. `probability` is that of having been drawn, whose
        inverse an edge weighs in a mean over all. `as_large` is the share of added edges that do as much.
Source  Wang et al. 2022, arXiv:2211.00593 (minimality); Shi et al. 2024, Hypothesis Testing the Circuit
        Hypothesis in LLMs, arXiv:2410.13032 (random edges added as what an edge has to beat).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp import stats
from interp.circuits.controls import within
from interp.circuits.evaluate import evaluate
from interp.circuits.graph import Graph, Mask
from interp.circuits.run import BLOCK
from interp.errors import UsageError
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import logit_difference
from interp.tasks import Task
from interp.transformer import Transformer

ALL = 100
LEAST_ADDED = 39
Cell = tuple[int, int]


def sampled(
    kept: Mask, scores: Float[np.ndarray, "reader writer"], number: int = ALL, seed: int = 0
) -> dict[Cell, float]:
    """The edges that are removed, each with its probability of having been drawn."""
    cells = [(int(row), int(column)) for row, column in np.argwhere(kept)]
    if len(cells) <= number:
        return dict.fromkeys(cells, 1.0)
    order = sorted(cells, key=lambda cell: -abs(np.nan_to_num(scores[cell])))
    sure = number // 3
    rest = order[sure:]
    random = np.random.default_rng(seed)
    drawn = random.choice(len(rest), number - sure, replace=False)
    share = (number - sure) / len(rest)
    return dict.fromkeys(order[:sure], 1.0) | {rest[at]: share for at in sorted(drawn.tolist())}


def minimality(
    model: Transformer,
    graph: Graph,
    task: Task,
    kept: Mask,
    scores: Float[np.ndarray, "reader writer"],
    ablation: Named = "resample",
    *,
    number: int = ALL,
    metric: Measure = logit_difference,
    memory: int = BLOCK,
    seed: int = 0,
) -> pd.DataFrame:
    """writer, reader, input, kind (removed, added), probability, effect, ci_low, ci_high and as_large: one
    row an edge that was removed or added; of added ones as many as were removed, at least `LEAST_ADDED`, or
    all that there are.

    Raises  UsageError for an empty circuit.
    """
    if not kept.any():
        raise UsageError("an empty circuit has no edge that could be removed")
    removed = sampled(kept, scores, number, seed)
    outside = np.argwhere(within(graph, kept) & ~kept)
    few = np.random.default_rng(seed).permutation(len(outside))[: max(len(removed), LEAST_ADDED)]
    added = [(int(row), int(column)) for row, column in outside[few]]
    masks = [kept]
    for cell in [*removed, *added]:
        mask = kept.copy()
        mask[cell] = not mask[cell]
        masks.append(mask)
    done = evaluate(model, graph, task, masks, ablation, metric=metric, memory=memory)
    signs = np.array([1.0] * len(removed) + [-1.0] * len(added))[:, None]
    found = stats.mean(signs * (done.metric[0] - done.metric[1:]), task.clusters, seed=seed)
    size = np.abs(found.value)
    beside = size[len(removed) :]
    rows = [
        {**graph.edge(*cell).columns(), "kind": kind, "probability": probability}
        for kind, cells in (("removed", removed), ("added", dict.fromkeys(added, np.nan)))
        for cell, probability in cells.items()
    ]
    return pd.DataFrame(rows).assign(
        effect=found.value,
        ci_low=found.low,
        ci_high=found.high,
        as_large=[float((beside >= each).mean()) if len(beside) else np.nan for each in size],
    )


def needed(edges: pd.DataFrame) -> float:
    """The share of a circuit's edges whose removal does more than 19 of 20 added random edges do; edges that
    were drawn weigh by the inverse of their probability."""
    removed = edges[edges["kind"] == "removed"]
    weights = 1 / removed["probability"]
    return float((weights * (removed["as_large"] < 0.05)).sum() / weights.sum())
