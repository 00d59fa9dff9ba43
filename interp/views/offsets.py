"""Offsets, what comes after an ablation, as a report shows them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from interp import stats
from interp.effects import Effects, Selection, Test
from interp.methods.offsets import Offsets, repaired
from interp.report import Block, Chart, Check, Formula, Series, Table
from interp.tasks import Task
from interp.transformer import Transformer
from interp.views import charts, effects, tolerance, writers

TERMS = "direct + later heads + later MLPs + rescaling"


def formula() -> Formula:
    """What the total effect is the sum of."""
    return Formula(f"total = {TERMS} by the final norm")


def directly(total: Effects, direct: Effects, done: Offsets, chosen: Selection) -> list[Block]:
    """Direct effects beside total ones, and of the chosen, on the half of the screen on which they were not
    chosen, where the difference comes from."""
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
        charts.scatter(title, direct, total, axes, chosen.rows),
        table,
    ]


def repair(done: Offsets, test: Test, name: str = "self_repair") -> Table:
    """A row an ablated component: the means of its terms, and its offset with interval, on the half of
    the screen on which it was not chosen; self_repair and share_repaired where a loss was made up for."""
    held_out = test.selection.held_out
    task = test.selection.screen.task.only(held_out)
    found = stats.table(done.offset[:, held_out], task.clusters, seed=test.seed)
    frame = done.frame(held_out).drop(columns="self_repair").assign(offset=found["effect"])
    frame = frame.join(found[["ci_low", "ci_high", "p_corrected", "n"]])
    made_up = repaired(frame["offset"].to_numpy(), frame["direct"].to_numpy())
    return Table(
        name,
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
    return [*writers.blocks(done.writers, means, title, note=note), table]


def adds_up(model: Transformer, task: Task, done: Offsets) -> Check:
    """That the terms, measured on the residual stream, are the total, measured at the logits."""
    return tolerance.at_logits(f"{TERMS} − total, logits", done.error, model, task)
