"""Ablations as the answer, tables and checks of a report, their kinds one below the other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from interp import stats
from interp.effects import Effects, Selection, Test
from interp.methods.ablate import Ablation, worst_error
from interp.methods.means import mean_over, no_means
from interp.methods.offsets import Offsets, repaired
from interp.report import Block, Chart, Check, Formula, Headline, NotRun, Series, Table
from interp.tasks import Task
from interp.transformer import Transformer
from interp.views import effects, pictures, tests, tolerance


def answer(model: Transformer, test: Test, done: Ablation, first: str | None = None) -> str:
    """What resample ablation of the strongest (called `first`, or its label) does, and of all chosen."""
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


TERMS = "direct + later heads + later MLPs + rescaling"


def formula() -> Formula:
    """What the total effect is the sum of."""
    return Formula(f"total = {TERMS} by the final norm")


def directly(total: Effects, direct: Effects, done: Offsets, chosen: Selection) -> list[Block]:
    """Direct effects beside total ones, and where the difference comes from for the chosen, held out."""
    title = "Direct and total effect of every head"
    axes = ["direct effect, logits", "total effect, logits"]
    table = Table(
        "offsets",
        done.frame(chosen.held_out),
        title="The strongest heads of the discovery half, on the screen's other half",
        note="self_repair is the offset where the head helped directly and what comes after makes up for it; "
        "elsewhere there is nothing to repair.",
    )
    return [
        formula(),
        effects.maps({"direct": direct, "total − direct": total - direct}),
        pictures.scatter(title, direct, total, axes, chosen.rows),
        table,
    ]


def repair(done: Offsets, test: Test) -> Table:
    """A row an ablated component: the means of its terms, and its offset with interval, on the half of
    the screen on which it was not chosen; self_repair and share_repaired where a loss was made up for."""
    held_out = test.selection.held_out
    task = test.selection.screen.task.only(held_out)
    found = stats.table(done.offset[:, held_out], task.clusters, seed=test.seed)
    frame = done.frame(held_out).drop(columns="self_repair").assign(offset=found["effect"])
    frame = frame.join(found[["ci_low", "ci_high", "p_corrected", "n"]])
    made_up = repaired(frame["offset"].to_numpy(), frame["direct"].to_numpy())
    return Table(
        "self_repair",
        frame.assign(self_repair=made_up, share_repaired=-made_up / frame["direct"]),
        first_rows=len(frame),
        title="On the held-out half of the screen",
        note=effects.p_note(task, len(frame)),
    )


def terms(frame: pd.DataFrame, labels: Sequence[str]) -> Chart:
    """What the offset of every ablated component is the sum of."""
    parts = {name: frame[name].to_numpy() for name in ("later_heads", "later_mlps", "rescaling")}
    return Chart(
        "What comes after",
        "stacked",
        [Series(name.replace("_", " "), list(labels), each) for name, each in parts.items()],
        "ablated component, the strongest direct effect first",
        "part of the offset, logits",
    )


def responses(done: Offsets, prompts: np.ndarray, top: int) -> list[Block]:
    """Which later heads and MLPs contribute what they did not before, over these prompts: the mean over
    the ablated components, and of each the `top` that change most."""
    means = {"mean over the ablated": done.responses(prompts).mean(0)}
    title = "Change of each {}'s direct contribution"
    note = "Each ablated component's own change is left out."
    table = Table(
        "responders",
        done.responders(prompts, top),
        title="Direct effects before and after",
        note="Both read with the scale of the final norm that the direct change leaves.",
    )
    return [*effects.of_writers(done.writers, means, title, note=note), table]


def adds_up(model: Transformer, task: Task, done: Offsets) -> Check:
    """That the terms, measured on the residual stream, are the total, measured at the logits."""
    return tolerance.at_logits(f"{TERMS} − total, logits", done.error, model, task)
