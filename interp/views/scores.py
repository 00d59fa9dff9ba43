"""Scores of heads in shares of 1, such as attention, as maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from interp.report import Heatmap, Maps


def maps(scores: Mapping[str, np.ndarray], note: str) -> Maps:
    """Scores `[layer head]` beside each other, all on the scale from 0 to 1."""
    return Maps(
        [
            Heatmap(title, values, "layer", "head", scale="sequential", low=0, high=1)
            for title, values in scores.items()
        ],
        note=note,
    )
