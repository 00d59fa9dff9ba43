"""Sentence pairs: the built-in list, or a file of the user's.

The built-in seven are those that the card of HHEM 1.0 scores; `published` are its scores.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from interp.errors import NotApplicable, UsageError, nearest
from interp.rows import Row, rows
from interp.tasks.examples import Examples, Half

BUILT_IN = Path(__file__).parent / "data" / "pairs.csv"
REQUIRED = ("premise", "hypothesis")
OPTIONAL = ("published",)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences, and the score that somebody published for them, where there is one; `cluster` and
    `half` are what it has among others."""

    premise: str
    hypothesis: str
    published: float | None = None
    cluster: str = ""
    half: Half = "discovery"
    item: str = ""
    order: str = ""
    template: str = ""
    kept: bool = True


@dataclass(frozen=True)
class Pairs(Examples[Pair]):
    """Pairs with their clusters, of which every other one is held out."""

    prompts: tuple[Pair, ...]
    name: str = "these pairs"
    called = "pairs"
    groups = "clusters of pairs that share sentences"

    @classmethod
    def of(cls, chosen: Sequence[Pair]) -> "Pairs":
        """These pairs, with clusters and halves."""
        numbered = zip(chosen, premises(chosen).tolist(), strict=True)
        halves: tuple[Half, Half] = ("discovery", "held_out")
        return cls(
            tuple(replace(pair, cluster=str(at), half=halves[at % 2]) for pair, at in numbered)
        )

    @cached_property
    def confirmation(self) -> "Pairs":
        """The pairs of the held-out half.

        Raises  NotApplicable where all pairs share a sentence.
        """
        held_out = self.where(half="held_out")
        if not held_out.any():
            raise NotApplicable(
                "heads are chosen on some premises and measured on others; one is given"
            )
        return self.only(held_out)

    def frame(self) -> pd.DataFrame:
        """pair (a number), premise, hypothesis and, if any is known, published."""
        columns = ["premise", "hypothesis", "published"]
        frame = pd.DataFrame(
            [{name: getattr(each, name) for name in columns} for each in self.prompts]
        )
        frame.insert(0, "pair", range(1, len(frame) + 1))
        return frame.dropna(axis=1, how="all")


def pairs(path: str | Path | None = None) -> list[Pair]:
    """The pairs of a CSV (with a header), JSON (a list of objects) or JSONL file in UTF-8, whose
    columns are `premise, hypothesis` and, if known, `published`; the built-in seven without a path.

    Raises  UsageError, naming file and row, for whatever is not that.
    """
    place = BUILT_IN if path is None else Path(path)
    found = [_pair(row) for row in rows(place)]
    if not found:
        raise UsageError(f"{place} has no pairs")
    return found


def premises(chosen: Sequence[Pair]) -> Int[np.ndarray, " example"]:
    """For each pair the number of its cluster: pairs that share a premise or a hypothesis, or are
    joined by others that do, are no independent evidence."""
    joined: dict[tuple[str, str], int] = {}
    clusters: list[int] = []
    for number, pair in enumerate(chosen):
        texts = (("premise", pair.premise), ("hypothesis", pair.hypothesis))
        met = {joined[text] for text in texts if text in joined}
        first = min(met, default=number)
        clusters = [first if each in met else each for each in clusters] + [first]
        joined = {text: first if each in met else each for text, each in joined.items()}
        joined |= dict.fromkeys(texts, first)
    rank = {cluster: place for place, cluster in enumerate(dict.fromkeys(clusters))}
    return np.array([rank[cluster] for cluster in clusters], dtype=np.int64)


def _pair(row: Row) -> Pair:
    known = (*REQUIRED, *OPTIONAL)
    for name in row.values:
        if name not in known:
            raise UsageError(
                f"{row.place}: no column is called {name!r:.60}; {nearest(name, known)}"
            )
    premise, hypothesis = map(row.text, REQUIRED)
    return Pair(premise, hypothesis, _published(row.values.get("published"), row.place))


def _published(value: Any, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 1:
        raise UsageError(f"{where}: published must be a score from 0 to 1, got {value!r:.60}")
    return score
