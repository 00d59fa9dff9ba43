"""Two runs of one experiment as one report: what changed, by how much, and how sure that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from interp import stats
from interp.compare import circuits
from interp.compare.matching import Left, Matched, matched_charts, matched_figures, matched_maps
from interp.compare.pairing import Pairing, pair
from interp.components import Head
from interp.errors import UsageError
from interp.report import Chart, Headline, Maps, Report, Section, Series, Table, Text
from interp.report.blocks import Block
from interp.report.result import Result
from interp.views.estimates import headline as figure

COMPARE = "compare"
TOP = 10
# A largest change below this share of the largest value is no change.
SAME = 1e-4
METHOD = """Method  Maps, headline figures and line charts of the same name, axes and unit are set beside
each other; differences are B minus A. Where both runs kept the same prompts and stored a value a
prompt, each cell's difference is taken prompt by prompt and averaged, with an interval that resamples
whole clusters of prompts and a p-value that flips their signs, corrected for all cells of the map
(Benjamini–Hochberg). Rankings are compared by Spearman's correlation over cells. Circuits are compared
by the edges that they keep (Jaccard, beside that of two random circuits of their sizes) and by their
scores.
Units   Those of the runs, B minus A.
Source  Bonett & Wright 2000, Psychometrika 65 (rank correlation); Zou & Donner 2008, Statistics in
Medicine 27 (independent figures)."""


def refuse(one: Result, other: Result) -> None:
    """Passes if the two runs can be set beside each other.

    Raises  UsageError that says why not.
    """
    for run in (one, other):
        if run.experiment == COMPARE:
            raise UsageError("a comparison cannot be compared; name two runs of one experiment")
        if run.report is None or not run.report.sections:
            why = f"it {run.status}" if run.error else run.answer or "it measured nothing"
            raise UsageError(f"a run of {run.experiment} has no numbers to compare: {why}")
    if one.experiment != other.experiment:
        raise UsageError(
            f"two runs of one experiment are needed, got {one.experiment} and {other.experiment}"
        )


def compare(one: Result, other: Result) -> Report:
    """The report on what the second run found beside what the first did.

    Raises  UsageError if the two cannot be compared, or have nothing in common.
    """
    refuse(one, other)
    a, b = labels(one, other)
    left = Left()
    prompts = pair(one, other)
    maps = matched_maps(one, other, (a, b), prompts, left)
    figures = matched_figures(one, other, left)
    charts = matched_charts(one, other, (a, b), left)
    edges = circuits.matched_circuits(one, other, left)
    if not maps and figures.empty and not charts and edges is None:
        raise UsageError(
            f"these two runs of {one.experiment} have nothing in common that could be compared: "
            + "; ".join(left.reasons[:4])
        )
    sections = [
        Section(f"{each.title}: every cell", _blocks(each, i)) for i, each in enumerate(maps)
    ]
    if maps:
        sections.insert(0, Section("Do the two runs rank alike?", _agreement(maps, (a, b))))
    if edges is not None:
        sections.insert(0, circuits.section(edges))
    if not figures.empty:
        table = Table(
            "figures",
            figures,
            title="Figures that both runs have",
            first_rows=len(figures),
            note="The difference is B − A. It has an interval only where the two runs are independent.",
        )
        sections.append(Section("Headline figures", [table]))
    if charts:
        sections.append(Section("Charts over each other", charts))
    if left.reasons:
        listed = "\n".join(f"- {reason}" for reason in left.reasons)
        sections.append(Section("Not compared", [Text(listed)]))
    differ = changed(one, other) or [("nothing that is recorded", "", "")]
    frame = pd.DataFrame(differ, columns=["what differs", "A", "B"])
    sides = Table("sides", frame, title="The two runs", first_rows=len(frame))
    return Report(
        answer=_answer(one, maps, figures, edges, (a, b)),
        verdict="not run",
        headlines=[
            *(circuits.headlines(edges) if edges else ()),
            *_headlines(maps, figures, prompts),
        ],
        sections=sections,
        inputs=[sides, Text(_pairing_words(prompts))],
        limits=[
            "Where prompts do not pair, a difference has no interval of its own: the intervals of "
            "the two runs must not be subtracted, since they share a model or prompts.",
        ],
    )


def changed(one: Result, other: Result) -> list[tuple[str, str, str]]:
    """(what, first, second) for everything that was set differently."""

    def said(run: Result) -> dict[str, str]:
        return {
            "model": run.model.name,
            "weights": run.model.weights_sha256[:12],
            "task": run.task_name,
            "prompts": str(run.task.n) if run.task else "",
            "seed": str(run.seed),
            "number format": run.model.dtype,
            "device": run.model.device,
            "revision": run.model.revision or "",
            **{name: str(value) for name, value in run.settings.items()},
            "commit": run.versions.get("commit", ""),
            "started": run.started,
        }

    first, second = said(one), said(other)
    return [
        (name, first.get(name, ""), second.get(name, ""))
        for name in dict.fromkeys([*first, *second])
        if first.get(name, "") != second.get(name, "")
    ]


def labels(one: Result, other: Result) -> tuple[str, str]:
    """A short name for either run: the first thing that tells them apart."""
    for name, first, second in changed(one, other):
        if first and second:
            plain = name in ("model", "task")
            return tuple(x if plain else f"{name} {x}" for x in (first, second))  # type: ignore[return-value]
    return "first", "second"


def _pairing_words(prompts: Pairing) -> str:
    if prompts.n:
        return (
            f"**{prompts.n} prompts** are in both runs and are paired; clusters of prompts that share "
            f"a sentence ({len(set(prompts.clusters.tolist()))}) are resampled together."
        )
    return f"Nothing is paired prompt by prompt: {prompts.why}."


def _agreement(maps: list[Matched], names: tuple[str, str]) -> list[Block]:
    """One row a map, and every cell of the first map as a point."""
    rows = []
    for each in maps:
        a, b = each.cells["A"].to_numpy(), each.cells["B"].to_numpy()
        grown = stats.mean(np.abs(b) - np.abs(a)) if len(a) > 1 else None
        rows.append(
            {
                "map": each.title,
                "cells": len(a),
                "rank_correlation": float(each.rank.value),
                "ci_low": float(each.rank.low),
                "ci_high": float(each.rank.high),
                "same_sign": float(np.mean(np.sign(a) == np.sign(b))) if len(a) else np.nan,
                f"shared_of_top_{TOP}": _shared(each),
                "grown": float(grown.value) if grown else np.nan,
                "grown_low": float(grown.low) if grown else np.nan,
                "grown_high": float(grown.high) if grown else np.nan,
            }
        )
    first = maps[0]
    unit = f", {first.first.unit}" if first.first.unit else ""
    xs, ys = first.cells["A"].tolist(), first.cells["B"].tolist()
    ends = [min(xs + ys, default=0.0), max(xs + ys, default=0.0)]
    return [
        Table(
            "agreement",
            pd.DataFrame(rows),
            title="Agreement of the maps",
            note="Spearman's rank correlation over cells. grown: |B| − |A|, mean over cells; its "
            "interval says how even the change is from cell to cell, not how sure each is.",
        ),
        Chart(
            f"{first.title}: every cell in either run",
            "scatter",
            [Series("cells", xs, ys), Series("equal in both", ends, ends, line=True)],
            f"A: {names[0]}{unit}",
            f"B: {names[1]}{unit}",
        ),
    ]


def _shared(each: Matched) -> int:
    """How many of the cells with the largest magnitudes in A are among those in B."""
    largest = (each.cells[side].abs().nlargest(TOP).index for side in ("A", "B"))
    return len(set.intersection(*map(set, largest)))


def _blocks(each: Matched, number: int) -> list[Block]:
    note = (
        "Mean over the paired prompts; p inverts the interval, corrected for all cells."
        if each.paired
        else "The prompts behind the cells are not paired, so the differences have no interval."
    )
    return [
        Maps([each.difference, each.first, each.second], note="A and B share one colour scale."),
        Table(
            f"differences_{number + 1}",
            each.cells,
            title="The largest changes",
            first_rows=TOP,
            note=note,
        ),
    ]


def _headlines(maps: list[Matched], figures: pd.DataFrame, prompts: Pairing) -> list[Headline]:
    found = []
    if maps and len((first := maps[0]).cells):
        if np.isfinite(first.rank.value):
            found.append(figure("rank agreement", first.rank, note=first.title))
        n = prompts.n if first.paired else None
        label = f"largest change, {_cell(first)}"
        found.append(_change(label, first.largest, first.first.unit, n))
    for _, row in figures.head(3 if maps else 4).iterrows():
        found.append(_change(f"change of {row['figure']}", row, str(row["unit"])))
    return found


def _change(label: str, row: pd.Series[Any], unit: str, n: int | None = None) -> Headline:
    """B − A, with its interval where it has one."""
    low, high = (float(row[end]) if end in row else np.nan for end in ("ci_low", "ci_high"))
    value = float(row["difference"])
    if np.isfinite([low, high]).all():
        return Headline(label, value, unit, low, high, n, "B − A")
    return Headline(label, value, unit, n=n, note="B − A")


def _cell(each: Matched) -> str:
    row = each.largest
    if each.first.by_head:
        return str(Head(int(row["layer"]), int(row["head"])))
    names = list(each.cells.columns[:2])
    return ", ".join(f"{name} {row[name]}" for name in names)


def _answer(
    one: Result,
    maps: list[Matched],
    figures: pd.DataFrame,
    edges: circuits.Circuits | None,
    names: tuple[str, str],
) -> str:
    words = f"{one.experiment}, {names[1]} (B) beside {names[0]} (A): "
    if edges is not None:
        return words + circuits.answer(edges)
    if maps and len(maps[0].cells):
        first, row = maps[0], maps[0].largest
        rank = first.rank
        most = abs(float(row["difference"]))
        if most <= SAME * float(first.cells[["A", "B"]].abs().to_numpy().max()):
            within = f"to within {most:.1e} " if most else ""
            return words + f"every cell of {first.title!r} is {within}the same."
        if np.isfinite(rank.value):
            words += (
                f"of {first.title!r}, {_shared(first)} of the {min(TOP, len(first.cells))} largest cells "
                f"are shared, and all {len(first.cells)} rank alike to ρ = {rank:.2f}; "
            )
        words += f"the largest change is at {_cell(first)}, from {row['A']:+.3g} to {row['B']:+.3g}"
        if first.paired and np.isfinite(row["ci_low"]):
            words += f" (B − A on paired prompts {row['difference']:+.2f} "
            words += f"[{row['ci_low']:+.2f}, {row['ci_high']:+.2f}])"
        return words + "."
    if figures.empty:
        return words + "only charts can be laid over each other."
    row = figures.iloc[0]
    return (
        words + f"{row['figure']} is {row['A']:.3g} and {row['B']:.3g} {row['unit']}".strip() + "."
    )
