"""Two circuits beside each other: edges that both keep or one alone, and how their effects differ."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interp import stats
from interp.compare.matching import Left
from interp.report import Headline, Section, Table
from interp.report.result import Result
from interp.views.estimates import headline as figure

TABLE = "edges"
NAMES, NEEDED = (
    ("writer", "reader", "input", "position"),
    ("writer", "reader", "input", "score", "kept"),
)
# A largest change below this share of the largest score is no change.
SAME = 1e-4
BOTH, FIRST, SECOND = "both", "A alone", "B alone"


@dataclass(frozen=True)
class Circuits:
    """The edges that at least one circuit keeps, the largest change first, and of how many edges in all that
    either graph scored."""

    edges: pd.DataFrame
    scored: int

    def count(self, which: str) -> int:
        """How many edges are kept in both, or in one alone."""
        return int((self.edges["kept_in"] == which).sum())

    @property
    def jaccard(self) -> float:
        """The edges in both among those in either; 1 for two empty circuits."""
        return self.count(BOTH) / len(self.edges) if len(self.edges) else 1.0

    @property
    def by_chance(self) -> float:
        """The same, expected of two circuits of these sizes drawn at random from the scored edges."""
        first, second = (self.count(BOTH) + self.count(each) for each in (FIRST, SECOND))
        shared = first * second / self.scored if self.scored else 0.0
        return shared / (first + second - shared) if first + second else 1.0

    @property
    def rank(self) -> stats.Estimate:
        """Spearman's correlation of the scores, over the edges kept in either that both runs scored."""
        known = self.edges.dropna(subset=["difference"])
        return stats.rank_correlation(known["A"].to_numpy(), known["B"].to_numpy())


def matched_circuits(one: Result, other: Result, left: Left) -> Circuits | None:
    """The circuits of both runs; none where a run has no table of edges with scores and what is kept."""
    frames = [_edges(run) for run in (one, other)]
    if frames[0] is None or frames[1] is None:
        return None
    names = [name for name in NAMES if name in frames[0]]
    if names != [name for name in NAMES if name in frames[1]]:
        left.add("edges", "only one circuit tells them apart by position")
        return None
    both = frames[0].merge(frames[1], on=names, how="outer", suffixes=("_A", "_B"))
    kept = [both[f"kept_{side}"].fillna(False).to_numpy(dtype=bool) for side in "AB"]
    both["kept_in"] = np.select([kept[0] & kept[1], kept[0]], [BOTH, FIRST], SECOND)
    found = both[kept[0] | kept[1]].rename(columns={"score_A": "A", "score_B": "B"})
    found["difference"] = found["B"] - found["A"]
    order = found["difference"].abs().sort_values(ascending=False, kind="stable").index
    columns = [*names, "kept_in", "A", "B", "difference"]
    return Circuits(found.loc[order, columns].reset_index(drop=True), len(both))


def _edges(run: Result) -> pd.DataFrame | None:
    assert run.report is not None
    for table in run.report.tables:
        if table.name == TABLE and set(NEEDED) <= set(table.frame.columns):
            names = [name for name in NAMES if name in table.frame]
            return table.frame[[*names, "score", "kept"]].drop_duplicates(names)
    return None


def section(found: Circuits) -> Section:
    """How many edges are where, and each of them."""
    rows = [[which, found.count(which)] for which in (BOTH, FIRST, SECOND)]
    counts = pd.DataFrame(rows, columns=["kept_in", "edges"])
    counts["share"] = counts["edges"] / max(1, len(found.edges))
    return Section(
        "The two circuits",
        [
            Table("kept_in", counts, title="Edges in both circuits and in one", first_rows=3),
            Table(
                "edges_compared",
                found.edges,
                title="Edges that a circuit keeps",
                note="A and B: the edge's score in either run, empty where it has none; difference: B − A.",
            ),
        ],
    )


def headlines(found: Circuits) -> Sequence[Headline]:
    """How alike the circuits are, and how alike the effects of their edges."""
    both, first, second = (found.count(each) for each in (BOTH, FIRST, SECOND))
    said = f"{both:,} edges in both, {first:,} in A alone, {second:,} in B alone"
    alike = Headline(
        "edges in both of those in either",
        found.jaccard,
        note=f"{said}; {found.by_chance:.2g} by chance",
    )
    if not np.isfinite(found.rank.value):
        return [alike]
    return [alike, figure("rank agreement of the edges' scores", found.rank)]


def answer(found: Circuits) -> str:
    """The comparison in words."""
    words = (
        f"of {len(found.edges):,} edges that a circuit keeps {found.count(BOTH):,} are in both, "
        f"{found.count(FIRST):,} in A alone and {found.count(SECOND):,} in B alone (Jaccard "
        f"{found.jaccard:.2f}, {found.by_chance:.2g} by chance)"
    )
    known = found.edges.dropna(subset=["difference"])
    if known.empty:
        return words + "."
    if known["difference"].abs().max() <= SAME * known[["A", "B"]].abs().to_numpy().max():
        return words + "; the scores of its edges are the same."
    row = known.iloc[0]
    at = f" at {row['position']}" if "position" in row else ""
    return (
        f"{words}; the largest change is of {row['writer']} → {row['reader']}.{row['input']}{at}, from "
        f"{row['A']:+.3g} to {row['B']:+.3g}."
    )
