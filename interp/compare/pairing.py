"""Which prompts two runs have in common, and what a cell's difference over these is worth."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from interp import stats
from interp.report.result import Result
from interp.runs.execute import PROMPTS

KEY = ["clean", "corrupted", "answer", "wrong"]


@dataclass(frozen=True)
class Pairing:
    """Places of the shared prompts among the kept ones of either run, their clusters, or why none are."""

    first: np.ndarray
    second: np.ndarray
    clusters: np.ndarray
    why: str = ""

    @property
    def n(self) -> int:
        return len(self.first)


def pair(one: Result, other: Result) -> Pairing:
    """The prompts that both runs kept, matched by their texts and answers."""
    nothing = np.zeros(0, dtype=np.int64)
    frames = [_kept(one), _kept(other)]
    if frames[0] is None or frames[1] is None:
        return Pairing(nothing, nothing, nothing, "the runs have no prompts of a task")
    keys = [list(frame[KEY].itertuples(index=False, name=None)) for frame in frames]
    if any(most > 1 for side in keys for most in Counter(side).values()):
        return Pairing(nothing, nothing, nothing, "a prompt occurs twice in one run")
    places = {key: place for place, key in enumerate(keys[1])}
    first = np.array([i for i, key in enumerate(keys[0]) if key in places], dtype=np.int64)
    second = np.array([places[keys[0][i]] for i in first], dtype=np.int64)
    if len(first) < 2:
        return Pairing(nothing, nothing, nothing, "the two runs share no prompts")
    column = "cluster" if "cluster" in frames[0] else "template"
    names = frames[0][column].tolist()
    clusters = pd.factorize(np.array([names[i] for i in first], dtype=object))[0]
    return Pairing(first, second, clusters.astype(np.int64))


def _kept(result: Result) -> Any:
    frame = result.report.files.get(PROMPTS) if result.report else None
    if frame is None or not {*KEY, "kept"} <= set(frame.columns):
        return None
    return frame[frame["kept"].astype(bool)].reset_index(drop=True)


def differences(
    first: np.ndarray, second: np.ndarray, pairing: Pairing
) -> tuple[np.ndarray, pd.DataFrame]:
    """Second minus first [row column example] over the shared prompts, and one row a cell: the
    interval of its mean, and p that inverts it, corrected for all cells together."""
    found = second[..., pairing.second].astype(float) - first[..., pairing.first].astype(float)
    flat = found.reshape(-1, pairing.n)
    known = np.isfinite(flat).all(-1)
    table = pd.DataFrame(
        np.nan, index=range(len(flat)), columns=["ci_low", "ci_high", "p_corrected"]
    )
    if known.any():
        measured = stats.table(flat[known], pairing.clusters)
        table.loc[known] = measured[list(table.columns)].to_numpy()
    return found, table


def between(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, float]:
    """The interval of other − one, for two independent estimates (value, low, high).

    Source  Zou & Donner 2008, Statistics in Medicine 27 (square-and-add).
    """
    (a, a_low, a_high), (b, b_low, b_high) = one, other
    below = np.hypot(b - b_low, a_high - a)
    above = np.hypot(b_high - b, a - a_low)
    return float(b - a - below), float(b - a + above)
