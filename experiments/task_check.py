"""Can the model do the task at all, and which of the built-in tasks can it do?

Method  Every prompt of the task is run, clean and corrupted, and the logit of the right answer compared
        with that of the wrong one at the last token. Prompts are dropped for their structure alone,
        never for what the model says to them; a task is refused as a whole. The other built-in tasks
        are judged in the same way.
Units   Share of prompts right; logits of answer minus wrong, mean over prompts.
Source  The prompts' own: see each task's file.
Limits  Right means that the answer beats one wrong answer, not that it is the most likely token.
"""

import numpy as np
import pandas as pd

from interp import stats, tasks
from interp.errors import UsageError
from interp.report import Chart, Report, Section, Series, Table, Text
from interp.stats.intervals import LEAST_CLUSTERS
from interp.study import progress, study
from interp.views import figures, rules

# Prompts of every other task, and as many again of those templates that confirm.
OTHERS = 24


@study(
    expects="The model prefers the right answer on at least three quarters of the prompts, and by at least "
    "half a logit more than after the corrupted prompts.",
    task="ioi",
    cost=15,
    gated=False,
)
def task_check(model, task, *, seed: int = 0, n: int = 16, others: bool = True) -> Report:
    gate = tasks.gate(model, task)
    if gate.accuracy is None:
        return Report(answer=gate.refused, verdict="not supported", sections=[_dropped(task)])
    tried = _tried(model, task, n, seed) if others else {}
    gates = {task.name: gate, **{name: _gate(model, each) for name, each in tried.items()}}
    table = _overview({task.name: task, **tried}, gates)
    done = table[table.done].task.tolist()
    return Report(
        answer=gate.refused
        or f"Yes: {model.name} prefers the right answer on {gate.accuracy.value:.0%} of {gate.n} "
        f"{task.name} prompts, by {gate.clean.value:.2f} logits ({gate.corrupted.value:+.2f} after the "
        f"corrupted prompts). Of the {len(table)} tasks tried it can do {', '.join(done) or 'none'}.",
        verdict=_verdict(gate),
        limits=[gate.note] if gate.note else [],
        headlines=[
            figures.headline("accuracy", gate.accuracy),
            figures.headline("logit difference, clean", gate.clean, "logits"),
            figures.headline("logit difference, corrupted", gate.corrupted, "logits"),
        ],
        sections=[
            Section(
                "Every task",
                [Table("tasks", table, first_rows=len(table)), *_refusals(gates)],
                intro="Kept: the share of prompts that are structurally fit for this tokenizer.",
            ),
            _parts(task, gate),
            _sensitivity(task, gate, seed),
            _dropped(task),
        ],
        controls=[_rule(gate)],
    )


def _verdict(gate):
    """The gate's own, as far as there are independent prompts enough to say so of others like them."""
    if gate.refused:
        return "not supported"
    return "supported" if gate.accuracy.clusters >= LEAST_CLUSTERS else "inconclusive"


def _rule(gate) -> Text:
    return rules.rule(
        "the model guesses, or does as well after the corrupted prompts. Supported: right on at least three "
        "quarters of the prompts, and half a logit above the corrupted ones.",
        f"prompts like these {gate.n}, of {gate.accuracy.clusters} independent groups "
        "(templates); fewer than "
        f"{LEAST_CLUSTERS} say nothing of others, and the verdict is inconclusive.",
        "none is claimed: thresholds are stated, not tested.",
    )


def _tried(model, task, n: int, seed: int) -> dict:
    """The other built-in tasks, or why one cannot be built for this tokenizer."""
    tried = {}
    for name in progress([each for each in tasks.names() if each != task.name], "tasks"):
        try:
            tried[name] = tasks.build(
                name,
                model.tokenizer,
                n=min(n, OTHERS),
                seed=seed,
                bos=model.bos_choice,
                confirm=OTHERS,
            )
        except UsageError as error:
            tried[name] = str(error)
    return tried


def _gate(model, task):
    return task if isinstance(task, str) else tasks.gate(model, task)


def _overview(tried: dict, gates: dict) -> pd.DataFrame:
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


def _refusals(gates: dict) -> list[Text]:
    """In words, why a task is refused."""
    words = {name: each if isinstance(each, str) else each.refused for name, each in gates.items()}
    lines = [f"- **{name}**: {why}" for name, why in words.items() if why]
    return [Text("\n".join(lines))] if lines else []


def _parts(task, gate) -> Section:
    """Template by template and order by order; nothing is pooled silently."""
    frame = pd.DataFrame(
        {
            "template": [prompt.template for prompt in task.kept],
            "order": [prompt.order for prompt in task.kept],
            "right": gate.clean_each > 0,
            "clean": gate.clean_each,
            "corrupted": gate.corrupted_each,
        }
    )
    by = frame.groupby(["template", "order"], as_index=False).agg(
        n=("right", "size"),
        accuracy=("right", "mean"),
        clean=("clean", "mean"),
        corrupted=("corrupted", "mean"),
    )
    each = range(task.n)
    return Section(
        "Prompt by prompt",
        [
            Chart(
                "Logit difference of every prompt",
                "scatter",
                [
                    Series("clean", each, gate.clean_each),
                    Series("corrupted", each, gate.corrupted_each),
                ],
                "prompt",
                "logits",
            ),
            Table("templates", by),
        ],
    )


def _sensitivity(task, gate, seed: int) -> Section:
    right = gate.clean_each > 0
    if not right.any():
        return Section("Correct prompts alone", [Text("The model gets none of them right.")])
    estimate = stats.mean(
        np.stack([gate.clean_each, gate.corrupted_each])[:, right], task.clusters[right], seed=seed
    )
    frame = pd.DataFrame(
        {
            "prompts": ["clean", "corrupted"],
            "logit_difference": estimate.value,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "n": estimate.n,
        }
    )
    return Section(
        "Correct prompts alone",
        [Table("correct", frame)],
        intro="A sensitivity analysis, chosen by outcome: it is no judgement of the task.",
    )


def _dropped(task) -> Section:
    frame = pd.DataFrame(task.reasons.items(), columns=["reason", "prompts"])
    blocks = (
        [Table("dropped", frame)] if len(frame) else [Text("All prompts are structurally fit.")]
    )
    return Section("Dropped prompts", blocks)
