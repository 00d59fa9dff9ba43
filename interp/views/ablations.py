"""Ablations as the answer, tables and checks of a report, their kinds one below the other."""

import numpy as np
import pandas as pd

from interp.effects import Test
from interp.methods.ablate import Ablation, worst_error
from interp.methods.means import mean_over, no_means
from interp.report import Check, Headline, NotRun, Table
from interp.tasks import Task
from interp.transformer import Transformer
from interp.views import effects, tests, tolerance


def answer(model: Transformer, test: Test, done: Ablation, first: str | None = None) -> str:
    """What resample ablation of the strongest (called `first`, by default by its label) does, and how the
    chosen did together."""
    screen = test.selection.screen
    return (
        f"Of {len(screen)} {test.what} of {model.name}, {first or test.labels[0]} matters most to "
        f"{screen.task.name}: with its value on the corrupted prompt the logit difference of "
        f"{done.clean.mean():.2f} changes by {test.first.effect:+.2f} on {test.fresh.task.n} held-out "
        f"prompts. {tests.sentence(test)}"
    )


def clean(done: Ablation) -> Headline:
    """The logit difference before."""
    return Headline("clean logit difference", float(done.clean.mean()), "logits", n=len(done.clean))


def every(
    done: Ablation, name: str, title: str = "", *, within: str | None = None, seed: int = 0
) -> Table:
    """names, ablation, effect, ci_low, ci_high, p_corrected and, of the logit difference alone,
    direct_effect, over all kept prompts; p is corrected for the components of one ablation together, or for
    those alike in the column `within`."""
    frames, most = [], 0
    for kind, each in done.effects.items():
        alike = np.zeros(len(each)) if within is None else pd.factorize(each.names[within])[0]
        for group in np.unique(alike):
            rows = np.flatnonzero(alike == group)
            frame = each.only(rows).frame(seed)
            frame.insert(len(each.names.columns), "ablation", getattr(kind, "__name__", str(kind)))
            if done.direct:
                frame["direct_effect"] = done.direct[kind].only(rows).mean()
            frames.append(frame)
            most = max(most, len(rows))
    task = next(iter(done.effects.values())).task
    note = effects.p_note(task, most)
    return Table(name, pd.concat(frames, ignore_index=True), title=title, note=note)


def checks(model: Transformer, task: Task, done: Ablation, seed: int) -> list[Check]:
    """That the sweep equals whole forward passes, and that no template chose and was measured."""
    error = worst_error(model, task, done, seed)
    name = "sweep and whole forward pass, random parts, logits"
    return [tolerance.at_logits(name, error, model, task), effects.splits(task)]


def mean_note(task: Task) -> str:
    """Of how many prompts the means are; empty where there are none."""
    return "" if no_means(task) else f"{mean_over(task)}."


def not_run(task: Task) -> list[NotRun]:
    """Mean ablation, where the task has too few corrupted prompts for it."""
    reason = no_means(task)
    return [NotRun("mean ablation", reason)] if reason else []
