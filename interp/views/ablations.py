"""Ablations as the tables and checks of a report, their kinds one below the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from interp.report import Check, NotRun
from interp.tasks import Task
from interp.views import scores, tolerance

if TYPE_CHECKING:
    from interp.methods.ablate import Ablation
    from interp.transformer import Transformer


def every_effect(names: pd.DataFrame, done: Ablation, task: Task, seed: int = 0) -> pd.DataFrame:
    """names, ablation, effect, ci_low, ci_high, p_corrected (for the parts of one ablation together)
    and direct_effect, over all kept prompts."""
    frames = [
        scores.estimates(names.assign(ablation=kind), effects, task, seed).assign(
            direct_effect=done.direct[kind].mean(-1)
        )
        for kind, effects in done.effects.items()
    ]
    return pd.concat(frames, ignore_index=True)


def by_order(names: pd.DataFrame, done: Ablation, task: Task, seed: int = 0) -> pd.DataFrame:
    """names, ablation, order, effect, ci_low, ci_high, n."""
    frames = [
        scores.by_order(names.assign(ablation=kind), effects, task, seed)
        for kind, effects in done.effects.items()
    ]
    return pd.concat(frames, ignore_index=True)


def checks(model: Transformer, task: Task, done: Ablation, seed: int) -> list[Check]:
    """That the sweep equals whole forward passes, and that no template chose and was measured."""
    from interp.methods.ablate import worst_error

    error = worst_error(model, task, done, seed)
    name = "sweep and whole forward pass, random parts, logits"
    return [Check(name, error, tolerance.logits(model, task)), scores.split_halves(task)]


def mean_note(task: Task) -> str:
    """Of how many prompts the means are; empty where there are none."""
    from interp.methods.means import mean_over, no_means

    return "" if no_means(task) else f"{mean_over(task)}."


def not_run(task: Task) -> list[NotRun]:
    """Mean ablation, where the task has too few corrupted prompts for it."""
    from interp.methods.means import no_means

    reason = no_means(task)
    return [NotRun("mean ablation", reason)] if reason else []
