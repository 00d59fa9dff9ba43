"""Ablations as the tables and checks of a report, their kinds one below the other."""

from __future__ import annotations

from interp.effects import Effects
from interp.methods.ablate import Ablation, worst_error
from interp.methods.means import mean_over, no_means
from interp.report import Check, NotRun, Table
from interp.tasks import Task
from interp.transformer import Transformer
from interp.views import effects, tolerance


def every(done: Ablation, name: str, title: str = "", *, seed: int = 0) -> Table:
    """names, ablation, effect, ci_low, ci_high, p_corrected (for the components of one ablation
    together) and direct_effect, over all kept prompts."""
    direct = {id(each): done.direct[kind].mean() for kind, each in done.effects.items()}
    frame = effects.stacked(
        done.effects,
        "ablation",
        lambda each: each.frame(seed).assign(direct_effect=direct[id(each)]),
    )
    first: Effects = next(iter(done.effects.values()))
    return Table(name, frame, title=title, note=effects.p_note(first.task, len(first)))


def checks(model: Transformer, task: Task, done: Ablation, seed: int) -> list[Check]:
    """That the sweep equals whole forward passes, and that no template chose and was measured."""
    error = worst_error(model, task, done, seed)
    name = "sweep and whole forward pass, random parts, logits"
    return [Check(name, error, tolerance.logits(model, task)), effects.splits(task)]


def mean_note(task: Task) -> str:
    """Of how many prompts the means are; empty where there are none."""
    return "" if no_means(task) else f"{mean_over(task)}."


def not_run(task: Task) -> list[NotRun]:
    """Mean ablation, where the task has too few corrupted prompts for it."""
    reason = no_means(task)
    return [NotRun("mean ablation", reason)] if reason else []
