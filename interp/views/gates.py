"""Whether a model can do a task, as a page shows it: prompt by prompt, template by template, task by task."""

from collections.abc import Mapping

import pandas as pd

from interp import stats
from interp.report import Chart, Series, Table, Text
from interp.tasks import Task
from interp.tasks.validity import Gate
from interp.views import estimates

# A gate, or why a task cannot be built for this tokenizer.
Gates = Mapping[str, Gate | str]


def every(gates: Gates) -> pd.DataFrame:
    """task, done, n, kept (the share fit), and accuracy, clean, corrupted and gap with their intervals."""
    rows = []
    for name, gate in gates.items():
        if isinstance(gate, str):
            rows.append({"task": name, "done": False})
            continue
        row = {"task": name, "done": not gate.refused, "n": gate.n}
        row["kept"] = gate.n / (gate.n + gate.dropped)
        for column in ("accuracy", "clean", "corrupted", "gap"):
            estimate = getattr(gate, column)
            if estimate is not None:
                row |= {column: float(estimate.value), f"{column}_low": float(estimate.low)}
                row[f"{column}_high"] = float(estimate.high)
        rows.append(row)
    return pd.DataFrame(rows)


def refusals(gates: Gates) -> list[Text]:
    """In words, why a task is refused; nothing where none is."""
    words = {name: each if isinstance(each, str) else each.refused for name, each in gates.items()}
    lines = [f"- **{name}**: {why}" for name, why in words.items() if why]
    return [Text("\n".join(lines))] if lines else []


def by_prompt(gate: Gate) -> Chart:
    """The logit difference of every prompt, clean and corrupted."""
    sides = {"clean": gate.clean_each, "corrupted": gate.corrupted_each}
    series = [Series(name, range(len(each)), each) for name, each in sides.items()]
    return Chart("Logit difference of every prompt", "scatter", series, "prompt", "logits")


def by_template(task: Task, gate: Gate) -> Table:
    """template, order, n, accuracy, clean and corrupted: nothing is pooled silently."""
    frame = pd.DataFrame(
        {
            "template": [prompt.template for prompt in task.kept],
            "order": [prompt.order for prompt in task.kept],
            "accuracy": gate.clean_each > 0,
            "clean": gate.clean_each,
            "corrupted": gate.corrupted_each,
        }
    )
    by = frame.groupby(["template", "order"], as_index=False)
    found = by.mean()
    found.insert(2, "n", by.size()["size"])
    return Table("templates", found)


def of_correct(task: Task, gate: Gate, seed: int = 0) -> Table | Text:
    """prompts, logit_difference, ci_low, ci_high and n of those prompts that the model gets right."""
    right = gate.clean_each > 0
    if not right.any():
        return Text("The model gets none of them right.")
    found = {
        name: stats.mean(each[right], task.clusters[right], seed=seed)
        for name, each in (("clean", gate.clean_each), ("corrupted", gate.corrupted_each))
    }
    return Table("correct", estimates.frame(found, ["prompts"], "logit_difference"))


def dropped(task: Task) -> Table | Text:
    """reason and prompts: how many were dropped for each."""
    if not task.dropped:
        return Text("All prompts are structurally fit.")
    frame = pd.DataFrame(task.reasons.items(), columns=["reason", "prompts"])
    return Table("dropped", frame)
