"""How well two columns of effects of the same edges agree: scores and exact effects, with intervals.

Method  Edges weigh as many as they were drawn for. The variance is that of leaving out one template at a
        time, and in strata that were sampled that of leaving out one edge, by the share not drawn.
Units   Slope: exact for each unit of score, through zero. Errors: the metric's unit.
Source  Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 11 (jackknife).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

Values = Float[np.ndarray, "edge example"]
Weights = Float[np.ndarray, " edge"]
ByColumn = Float[np.ndarray, " example"]
ALL = "all edges"
_LEVEL = 0.95


@dataclass(frozen=True)
class Columns:
    """Scores, exact effects and the weights of their columns: without one of so many templates, or of all."""

    read: Callable[[int | None], tuple[Values, Values, ByColumn]]
    templates: int


def rows(kinds: Sequence[str], probability: Weights, columns: Columns) -> list[dict[str, object]]:
    """kind, n, slope, pearson, same_sign, top_overlap, mean_error and largest_error, each but the last with
    its interval: one row for each stratum that has edges, and one for the whole graph.

    Top edges are a tenth of a stratum's, and in the whole graph as many as its strongest stratum has.
    """
    kind_of = np.array(kinds)
    found = []
    for kind in (*dict.fromkeys(kinds), ALL):
        here = kind_of == kind if kind != ALL else np.ones(len(kinds), dtype=bool)
        weights = (1 / probability)[here]
        strata = kind_of[here]
        # In edges of the graph, of which one that was drawn stands for several.
        top = max(1, int((kind_of == "strongest").sum() if kind == ALL else weights.sum() // 10))
        found.append({"kind": kind, **_row(here, weights, strata, probability[here], columns, top)})
    return found


def _row(
    here: np.ndarray,
    weights: Weights,
    strata: np.ndarray,
    probability: Weights,
    columns: Columns,
    top: int,
) -> dict[str, object]:
    def values(left_out: int | None, edges: np.ndarray, weights: Weights) -> np.ndarray:
        x, y, of_columns = columns.read(left_out)
        return _agree(x[here][edges], y[here][edges], weights, of_columns, top)

    every = np.arange(int(here.sum()))
    whole = values(None, every, weights)
    n, variance = columns.templates, np.zeros(len(whole))
    if n > 1:
        left = np.array([values(each, every, weights) for each in range(n)])
        variance += (n - 1) / n * ((left - left.mean(0)) ** 2).sum(0)
    for stratum in dict.fromkeys(strata):
        members = np.flatnonzero(strata == stratum)
        share, m = float(probability[members[0]]), len(members)
        if share < 1 and m > 1:
            parts = []
            for each in members:
                rest = weights.copy()
                rest[members] *= m / (m - 1)
                parts.append(values(None, np.delete(every, each), np.delete(rest, each)))
            left = np.array(parts)
            variance += (1 - share) * (m - 1) / m * ((left - left.mean(0)) ** 2).sum(0)
    reach = float(stdtrit(n - 1, (1 + _LEVEL) / 2)) if n > 1 else np.nan
    row: dict[str, object] = {"n": len(every)}
    for name, value, error in zip(_NAMES, whole, np.sqrt(variance), strict=True):
        low, high = _BOUNDS[name]
        row[name] = float(value)
        row[f"{name}_low"] = float(np.maximum(value - reach * error, low))
        row[f"{name}_high"] = float(np.minimum(value + reach * error, high))
    x, y, _ = columns.read(None)
    row["largest_error"] = float(np.abs(x - y)[here].max())
    return row


_BOUNDS = {
    "slope": (-np.inf, np.inf),
    "pearson": (-1.0, 1.0),
    "same_sign": (0.0, 1.0),
    "top_overlap": (0.0, 1.0),
    "mean_error": (0.0, np.inf),
}
_NAMES = tuple(_BOUNDS)


def _agree(x: Values, y: Values, of_edges: Weights, of_columns: ByColumn, top: int) -> np.ndarray:
    """The numbers of `_NAMES`, where edges and columns have weights."""
    weights = np.outer(of_edges / of_edges.sum(), of_columns)
    xx, xy = (weights * x * x).sum(), (weights * x * y).sum()
    x_apart, y_apart = x - (weights * x).sum(), y - (weights * y).sum()
    spread = (weights * x_apart**2).sum() * (weights * y_apart**2).sum()
    return np.array(
        [
            xy / xx if xx > 0 else np.nan,
            (weights * x_apart * y_apart).sum() / np.sqrt(spread) if spread > 0 else np.nan,
            (weights * (np.sign(x) == np.sign(y))).sum(),
            _overlap(x, y, of_edges, of_columns, top),
            (weights * np.abs(x - y)).sum(),
        ]
    )


def _overlap(x: Values, y: Values, of_edges: Weights, of_columns: ByColumn, top: int) -> float:
    """Which share of the top edges by score are top edges by exact effect, mean over columns."""

    def among(values: Values) -> Values:
        """How much of each edge's weight is among the largest so many."""
        order = np.argsort(-np.abs(values), axis=0, kind="stable")
        weights = of_edges[order]
        found = np.empty_like(weights)
        np.put_along_axis(
            found, order, np.clip(top - weights.cumsum(0) + weights, 0, weights), axis=0
        )
        return found

    both = np.minimum(among(x), among(y)).sum(0) / min(top, of_edges.sum())
    return float(both @ of_columns)
