"""Do intervals cover, and are tests of their size, on data whose truth is known?"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from interp.stats.intervals import mean

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
# Each shape with its true mean.
SHAPES: Mapping[str, tuple[float, Draw]] = {
    "normal": (0.0, lambda random, size: random.normal(size=size)),
    "t3": (0.0, lambda random, size: random.standard_t(3, size=size)),
    "exponential": (1.0, lambda random, size: random.exponential(size=size)),
    "lognormal": (float(np.exp(0.5)), lambda random, size: random.lognormal(size=size)),
    "sparse": (0.0, lambda random, size: random.normal(size=size) * (random.random(size) < 0.2)),
}
CLUSTERS = (4, 6, 8, 12, 20, 40, 60)
# Prompts of one cluster differ by this much, beside what they share.
_WITHIN = 0.3


def coverage(repeats: int, seed: int = 0) -> pd.DataFrame:
    """shape, clusters, sizes, coverage, size and median_length of 95 % intervals: of clusters of two
    prompts each, or with one cluster in four ten times as large."""
    rows = []
    for shape, (truth, draw) in SHAPES.items():
        for clusters in CLUSTERS:
            for uneven in (False, True):
                random = np.random.default_rng([seed, clusters, uneven])
                sizes = np.full(clusters, 2)
                if uneven:
                    sizes[::4] *= 10
                members = np.repeat(np.arange(clusters), sizes)
                effects = draw(random, (repeats, clusters))[:, members] - truth
                effects = effects + _WITHIN * random.normal(size=effects.shape)
                found = mean(effects, members)
                assert found.p is not None
                rows.append(
                    {
                        "shape": shape,
                        "clusters": clusters,
                        "sizes": "one in four × 10" if uneven else "equal",
                        "coverage": float(((found.low <= 0) & (found.high >= 0)).mean()),
                        "size": float((found.p < 0.05).mean()),
                        "median_length": float(np.median(found.high - found.low)),
                        "n": repeats,
                    }
                )
    return pd.DataFrame(rows)


def least_coverage(shape: str, clusters: int) -> float | None:
    """What the interval of this shape and number of clusters is held to; None where nothing is asked."""
    if clusters < 6:
        return None
    asked = {"normal": 0.93, "t3": 0.93, "exponential": 0.91, "lognormal": 0.88}
    if shape == "lognormal" and clusters >= 12:
        return 0.91
    return asked.get(shape)


def most_size(shape: str, clusters: int) -> float | None:
    """What the size of the test is held to; None where nothing is asked."""
    if shape == "normal" and clusters >= 6:
        return 0.06
    return 0.09 if shape == "lognormal" and clusters >= 12 else None


def worst_coverage(found: pd.DataFrame) -> float:
    """The lowest coverage where something is asked of it."""
    return float(found["coverage"][_asked(found, least_coverage).notna()].min())


def misses(found: pd.DataFrame) -> dict[str, float]:
    """By shape and sizes, how far the worst row misses what is asked of its coverage and size, at least 0."""
    named: dict[str, float] = {}
    short = _asked(found, least_coverage) - found["coverage"]
    over = found["size"] - _asked(found, most_size)
    for (shape, sizes), rows in found.groupby(["shape", "sizes"], sort=False):
        for what, each in (("coverage below", short[rows.index]), ("size above", over[rows.index])):
            if each.notna().any():
                clusters = rows["clusters"].iloc[int(np.nanargmax(each))]
                name = f"{shape}, {sizes}: {what} what is asked, at worst ({clusters} clusters)"
                named[name] = max(float(each.max()), 0.0)
    return named


def _asked(found: pd.DataFrame, rule: Callable[[str, int], float | None]) -> pd.Series:
    asked = map(rule, found["shape"], found["clusters"])
    return pd.Series(asked, index=found.index, dtype=np.float64)
