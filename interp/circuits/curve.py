"""The curve of faithfulness over sizes, and the area under it.

Method  CPR is the area under faithfulness, CMD that between it and 1: trapezoids between the sizes measured,
        on the linear axis of the fractions of edges that are left without dead ends, the whole model the
        last. Edges are ranked signed (by how much removing one lowers the metric) or by magnitude. On the
        ungrouped axis an edge into shared keys or values counts once for each query head that reads them.
Units   Areas: faithfulness times fraction of edges; of a circuit that is the model at every size CPR is the
        axis covered and CMD 0. Above 1 a circuit does more than the model somewhere.
Source  Mueller et al. 2025, MIB, arXiv:2504.13151 (CPR from the signed ranking, CMD from magnitudes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.circuits.graph import Graph, Mask
from interp.components import KVHead

Ranking = Literal["signed", "magnitude"]
Axis = Literal["edges", "edges per query head"]
# Circuits, and the faithfulness of each.
Points = tuple[Sequence[Mask], Float[np.ndarray, " circuit"]]
AXES: tuple[Axis, ...] = ("edges", "edges per query head")


def kept_share(graph: Graph, mask: Mask, axis: Axis = "edges") -> float:
    """The share of the graph's edges that a mask has; on the ungrouped axis of those per query head."""
    weights = np.ones(len(graph.readers))
    if axis != "edges":
        for row, each in enumerate(graph.readers):
            if isinstance(each.component, KVHead):
                weights[row] = graph.feeds[row].sum()
    found, every = (each.reshape(len(weights), -1).sum(1) for each in (mask, graph.allowed))
    return float((weights @ found) / (weights @ every))


def area(x: Sequence[float], y: Sequence[float]) -> float:
    """Trapezoids between points, whatever order they come in.

    >>> area([0.0, 1.0, 0.5], [0.0, 1.0, 1.0])
    0.75
    """
    order = np.argsort(x, kind="stable")
    along, high = np.asarray(x, dtype=float)[order], np.asarray(y, dtype=float)[order]
    return float((np.diff(along) * (high[1:] + high[:-1]) / 2).sum())


def areas(graph: Graph, curves: Mapping[Ranking, Points]) -> pd.DataFrame:
    """ranking, axis, cpr, cmd, from and sizes: one row a ranking and axis, of the circuits of each ranking
    with their faithfulness; the whole model is added to them. `from` is the smallest fraction, below which
    nothing is counted."""
    rows = []
    for ranking, (masks, faithfulness) in curves.items():
        y = [*(float(each) for each in faithfulness), 1.0]
        for axis in AXES:
            x = [*(kept_share(graph, mask, axis) for mask in masks), 1.0]
            far = [abs(1 - each) for each in y]
            rows.append([ranking, axis, area(x, y), area(x, far), min(x), len(x)])
    return pd.DataFrame(rows, columns=["ranking", "axis", "cpr", "cmd", "from", "sizes"])
