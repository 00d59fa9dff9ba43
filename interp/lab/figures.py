"""Estimates and scores as a report shows them: headline figures, and the strongest components with a
word on what their p-values can say."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isnan

import numpy as np
import pandas as pd

from interp.lab import scores
from interp.report import Distribution, Headline, Table
from interp.stats import Estimate
from interp.stats.signs import EXACT_UP_TO
from interp.tasks import Task


def headline(
    label: str,
    estimate: Estimate,
    unit: str = "",
    *,
    at: int | tuple[int, ...] = (),
    note: str = "",
) -> Headline:
    """One value of an estimate, with its interval where it has one, and how many prompts it is from."""
    value, low, high = (float(each[at]) for each in (estimate.value, estimate.low, estimate.high))
    if isnan(low) or isnan(high):
        return Headline(label, value, unit, n=estimate.n, note=note)
    return Headline(label, value, unit, low, high, estimate.n, note)


def chosen(label: str, row: pd.Series, note: str = "") -> Headline:
    """A row of `scores.held_out`: what was chosen on one half of the prompts, on the other."""
    halves = "chosen on the discovery half, estimated on the other"
    low, high = (None, None) if isnan(row.ci_low) else (row.ci_low, row.ci_high)
    said = f"{note}; {halves}" if note else halves
    return Headline(label, row.effect, "logits", low, high, int(row.n), said)


def strongest(
    name: str,
    what: str,
    components: Sequence[str],
    effects: scores.Effects,
    table: pd.DataFrame,
    task: Task,
    chosen: scores.Chosen,
) -> list[Table | Distribution]:
    """The chosen components: `table` (of `held_out`) under this name, and `what`, prompt by prompt."""
    few = len(np.unique(task.clusters[chosen.held_out]))
    return [
        Table(
            name,
            table,
            title="Chosen on one half, estimated on the other",
            note=_p_note(few, len(table)),
        ),
        scores.per_prompt(f"{what}, prompt by prompt", components, effects, task, chosen),
    ]


def p_note(task: Task, rows: int) -> str:
    """What a table of p-values over all prompts, corrected for so many rows, can show at all."""
    return _p_note(len(np.unique(task.clusters)), rows)


def _p_note(clusters: int, rows: int) -> str:
    if clusters > EXACT_UP_TO:
        return f"p flips the signs of {clusters} independent groups of prompts."
    least = 2.0 / 2**clusters
    needed = ceil(least * rows / 0.05 - 1e-9)
    said = f"p flips the signs of {clusters} independent groups of prompts, so none is below {least:.2g}"
    if least > 0.05:
        return f"{said}: no row can pass 0.05 here, whatever its effect; read the interval."
    if needed > 1:
        return (
            f"{said}, and corrected for {rows} rows fewer than {needed} real effects cannot pass 0.05 "
            "together: a large p_corrected is no sign that there is nothing. More prompts (--n) help."
        )
    return said + "."
