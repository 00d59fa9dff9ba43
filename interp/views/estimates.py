"""Estimates as the rows of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from interp.stats import Estimate


def frame(
    estimates: Mapping[Any, Estimate], names: Sequence[str] = (), value: str = "value"
) -> pd.DataFrame:
    """One row an estimate: what its key names, the value under this name, ci_low, ci_high and n. Of
    several `names` a key is a tuple of as many."""
    rows = [
        [
            *(key if isinstance(key, tuple) else (key,)),
            *(float(end) for end in (each.value, each.low, each.high)),
            each.n,
        ]
        for key, each in estimates.items()
    ]
    return pd.DataFrame(rows, columns=[*names, value, "ci_low", "ci_high", "n"])
