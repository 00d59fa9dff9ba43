"""Patches of cells, layers by positions, as a report shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interp import stats
from interp.methods.patch import Patched
from interp.report import Chart, Heatmap, Maps, Series


def maps(done: Mapping[str, Patched], note: str = "", columns: Sequence[str] = ()) -> Maps:
    """The share of the gap that each cell moves, a map of layer by position for each name; `columns`
    says what positions are called, where not by their labels."""
    shown = []
    for title, each in done.items():
        names = list(columns) or _positions(each)
        values = each.recovery.reshape(-1, len(names))
        shown.append(Heatmap(title or "all prompts", values, "layer", "position", columns=names))
    return Maps(shown, note=note)


def at_last(done: Mapping[str, Patched], title: str) -> Chart:
    """The share of the gap that the cells of the last position move, layer by layer."""
    series = []
    for name, each in done.items():
        share = each.recovery.reshape(-1, len(_positions(each)))[:, -1]
        series.append(Series(name or "all prompts", range(len(share)), share))
    return Chart(title, "line", series, "layer", "recovery")


def agreement(done: Mapping[str, Patched], others: Mapping[str, Patched]) -> str:
    """How alike the cells of each name rank in both, in words."""
    said = []
    for name, each in others.items():
        rank = stats.rank_correlation(done[name].recovery, each.recovery)
        low, high = float(rank.low), float(rank.high)
        said.append(f"{float(rank.value):.2f} [{low:.2f}, {high:.2f}] at {name}")
    return ", ".join(said)


def _positions(done: Patched) -> list[str]:
    return list(dict.fromkeys(map(str, done.effects.names["label"])))
