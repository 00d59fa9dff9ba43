"""Does a circuit suffice? It is run on prompts that chose nothing, beside its complement and random circuits.

The rule: supported if the whole interval of its faithfulness lies within [floor, 2 - floor] and no random
circuit of its size has as much of it; not supported if the interval lies outside; all else is inconclusive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.circuits.controls import random_circuits
from interp.circuits.evaluate import Evaluation, evaluate
from interp.circuits.graph import Graph
from interp.circuits.run import BLOCK
from interp.circuits.search import Found
from interp.errors import NotApplicable
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import logit_difference
from interp.stats import Estimate
from interp.stats.verdict import LEAST_CONFIRMING, Verdict
from interp.tasks import Task
from interp.transformer import Transformer

# Random circuits of a size of the curve; those that the verdict rests on are more.
OF_A_SIZE = 10


@dataclass(frozen=True, eq=False)
class Judged:
    """The chosen circuit's `share` (faithfulness) on `task`, those of random circuits of its size, `p` of its
    rank among these, and a row for every size in `curve`."""

    task: Task
    share: Estimate
    random: Float[np.ndarray, " draw"]
    curve: pd.DataFrame
    floor: float
    largest_error: float

    @property
    def p(self) -> float:
        """(1 + the random circuits with as large a share) / (1 + random circuits)."""
        return float((1 + (self.random >= float(self.share.value)).sum()) / (1 + len(self.random)))

    @property
    def verdict(self) -> Verdict:
        """What the rule says."""
        low, high = float(self.share.low), float(self.share.high)
        if self.share.clusters < LEAST_CONFIRMING or not low <= high:
            return "inconclusive"
        if high < self.floor or low > 2 - self.floor:
            return "not supported"
        inside = self.floor <= low and high <= 2 - self.floor
        first = not (self.random >= float(self.share.value)).any()
        return "supported" if inside and first else "inconclusive"


def judge(
    model: Transformer,
    graph: Graph,
    fresh: Task,
    found: Found,
    floor: float,
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    controls: int = 39,
    memory: int = BLOCK,
    seed: int = 0,
) -> Judged:
    """The circuit that was found, and every size, on prompts that chose nothing.

    Raises  NotApplicable where there are not so many random circuits of its size.
    """

    def share(masks: list[np.ndarray]) -> tuple[Estimate, Evaluation]:
        done = evaluate(model, graph, fresh, masks, ablation, metric=metric, memory=memory)
        return done.with_a_gap(seed).faithfulness(seed), done

    others = random_circuits(graph, found.kept, controls, seed)
    first, done = share([found.kept, *others, graph.allowed])
    rows = []
    for size, mask in found.sizes.items():
        if not mask.any():
            continue
        try:
            drawn = random_circuits(graph, mask, OF_A_SIZE, seed)
        except NotApplicable:
            drawn = []
        each, of_size = share([mask, graph.allowed & ~mask, *drawn])
        beside = each.value[2:] if drawn else np.array([np.nan])
        rows.append(
            {
                "fraction": size,
                "edges": int(mask.sum()),
                "faithfulness": each.value[0],
                "ci_low": each.low[0],
                "ci_high": each.high[0],
                "complement": each.value[1],
                "random_low": beside.min(),
                "random_high": beside.max(),
                "kl": of_size.kl[0].mean(),
                "agreement": of_size.same[0].mean(),
            }
        )
    error = float(np.abs(done.metric[-1] - done.whole).max())
    value, low, high = (np.asarray(each[0]) for each in (first.value, first.low, first.high))
    chosen = Estimate(value, low, high, first.n, first.clusters, first.method)
    return Judged(fresh, chosen, first.value[1:-1], pd.DataFrame(rows), floor, error)
