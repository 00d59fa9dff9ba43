"""How sure: intervals, p-values and their correction, agreement between halves, the choice at random.

Effects are arrays `[… example]`: one row a component, one column a prompt. `clusters` numbers, for
every prompt, the sentence (or whatever chance drew once) that it shares with others; clusters weigh
alike, since prompts made from one sentence are no independent evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Shaped

from interp.stats.agreement import (
    Agreement,
    Standing,
    against_controls,
    halves,
    rank_correlation,
    slope,
)
from interp.stats.effects import Clusters, Estimate, benjamini_hochberg, cluster_means
from interp.stats.intervals import SKEWED, mean, ratio_of_means, share

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SKEWED",
    "Agreement",
    "Estimate",
    "Standing",
    "against_controls",
    "benjamini_hochberg",
    "cluster_means",
    "halves",
    "mean",
    "rank_correlation",
    "ratio_of_means",
    "share",
    "slope",
    "table",
]


def table(
    effects: Shaped[np.ndarray, "component example"],
    clusters: Clusters | None = None,
    items: Clusters | None = None,
    *,
    signed: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """One row a component: effect, ci_low, ci_high, p, p_corrected and n, and where clusters are of unequal
    size pooled, the mean over prompts; p and p_corrected are NaN unless the quantity is signed, since zero
    is no null of one that is never negative."""
    import pandas as pd

    estimate = mean(effects, clusters, items, seed=seed)
    p = estimate.p if signed and estimate.p is not None else np.full(len(effects), np.nan)
    ends = {"effect": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}
    columns = {**ends, "p": p, "p_corrected": benjamini_hochberg(p), "n": estimate.n}
    pooled = {} if estimate.pooled is None else {"pooled": estimate.pooled}
    return pd.DataFrame({**columns, **pooled})
