"""How stable a choice of edges is: chosen again from resampled templates, other prompts, other ablations.

Method  Templates are drawn anew with replacement, and as many of the strongest edges by the means of the
        drawn ones are kept, without dead ends: from stored scores of every prompt, so that nothing is run.
Units   Jaccard: edges in both circuits among those in either. The share of draws that an edge is in.
Source  Hanna et al. 2024, arXiv:2403.17806; Nikankin et al. 2025, arXiv:2510.25786 (edges chosen again from
        resampled prompts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.circuits.graph import Graph, Mask
from interp.circuits.search import in_graph, strongest
from interp.effects import Effects
from interp.errors import UsageError
from interp.stats import cluster_means

DRAWS = 100
# An edge in as large a share of the draws is stable.
STABLE = 0.95


@dataclass(frozen=True, eq=False)
class Stability:
    """The share of draws that each edge is in, NaN where there is none, and the Jaccard `overlap` of each
    draw with the circuit. With one template every draw is the same, and nothing is known."""

    share: Float[np.ndarray, "reader writer"]
    overlap: Float[np.ndarray, " draw"]
    templates: int

    @property
    def stable(self) -> Mask:
        """The edges that are in at least `STABLE` of the draws."""
        found: Mask = (self.share >= STABLE) & (self.templates > 1)
        return found


def resampled(
    graph: Graph, scores: Effects, kept: Mask, fraction: float, *, draws: int = DRAWS, seed: int = 0
) -> Stability:
    """The choice of this fraction made again from templates drawn with replacement.

    Raises  UsageError for fewer than 20 draws.
    """
    if draws < 20:
        raise UsageError(f"a share of draws needs at least 20 of them, got {draws}")
    means = cluster_means(scores.values, scores.task.clusters)
    templates = means.shape[1]
    times = np.random.default_rng(seed).multinomial(
        templates, np.full(templates, 1 / templates), draws
    )
    count = np.zeros(kept.shape)
    overlap = np.empty(draws)
    cells = in_graph(graph, scores.components)
    for draw, weights in enumerate(times):
        again = strongest(graph, cells(means @ (weights / templates)), fraction)
        count += again
        overlap[draw] = jaccard(again, kept)
    return Stability(np.where(graph.allowed, count / draws, np.nan), overlap, templates)


def jaccard(one: Mask, other: Mask) -> float:
    """Edges in both among those in either; 1 for two empty circuits."""
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 1.0


def compared(kept: Mask, found: Stability, others: Mapping[str, Mask]) -> pd.DataFrame:
    """chosen_from, edges, jaccard, low and high: how like the circuit are those chosen from resampled
    templates (the median, with the middle 95 % of draws) and each of the others."""
    low, middle, high = np.quantile(found.overlap, [0.025, 0.5, 0.975])
    size = int(kept.sum())
    rows = [[f"{found.templates} templates, resampled", size, middle, low, high]]
    rows += [
        [name, int(each.sum()), jaccard(kept, each), np.nan, np.nan]
        for name, each in others.items()
    ]
    return pd.DataFrame(rows, columns=["chosen_from", "edges", "jaccard", "low", "high"])
