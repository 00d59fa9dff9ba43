"""Cheap estimates beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from interp import stats
from interp.effects import Effects
from interp.report import Chart, Series


def first_order(points: Mapping[str, tuple[Effects, Effects]], note: str = "") -> Chart:
    """The first-order estimate of each component beside its measured effect, in groups; how alike they
    rank, and the slope of a line through zero, are of all groups together."""
    means = {name: (one.mean(), other.mean()) for name, (one, other) in points.items()}
    estimated, measured = (np.concatenate(each) for each in zip(*means.values(), strict=True))
    rank = stats.rank_correlation(estimated, measured)
    square = float((estimated**2).sum())
    slope = float((estimated * measured).sum()) / square if square else float("nan")
    return Chart(
        "First-order estimate and measured effect",
        "scatter",
        [Series(name, *each) for name, each in means.items()],
        "first-order estimate, logits",
        "measured effect, logits",
        note=f"{note} Rank correlation {float(rank.value):.2f} [{float(rank.low):.2f}, "
        f"{float(rank.high):.2f}]; measured effect for each unit of the estimate {slope:.2f}.".strip(),
    )
