"""Can the model do the task at all, and which of the built-in tasks can it do?

Method  Every prompt of the task is run, clean and corrupted, and the logit of the right answer compared
        with that of the wrong one at the last token. Prompts are dropped for their structure alone,
        never for what the model says to them; a task is refused as a whole. The other built-in tasks
        are judged in the same way.
Units   Share of prompts right; logits of answer minus wrong, mean over prompts.
Source  The prompts' own: see each task's file.
Limits  Right means that the answer beats one wrong answer, not that it is the most likely token.
"""

from interp import tasks
from interp.errors import UsageError
from interp.report import Report, Section, Table
from interp.stats.intervals import LEAST_CLUSTERS
from interp.study import progress, study
from interp.views import estimates, gates, rules

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
    dropped = Section("Dropped prompts", [gates.dropped(task)])
    if gate.accuracy is None:
        return Report(answer=gate.refused, verdict="not supported", sections=[dropped])
    tried = {task.name: gate, **(tried_others(model, task, n, seed) if others else {})}
    table = gates.every(tried)
    done = ", ".join(table[table.done].task) or "none"
    # As far as there are independent prompts enough to say so of others like them.
    verdict = "supported" if gate.accuracy.clusters >= LEAST_CLUSTERS else "inconclusive"
    return Report(
        answer=gate.refused
        or f"Yes: {model.name} prefers the right answer on {gate.accuracy.value:.0%} of {gate.n} "
        f"{task.name} prompts, by {gate.clean.value:.2f} logits ({gate.corrupted.value:+.2f} after the "
        f"corrupted prompts). Of the {len(table)} tasks tried it can do {done}.",
        verdict="not supported" if gate.refused else verdict,
        limits=[gate.note] if gate.note else [],
        headlines=[
            estimates.headline("accuracy", gate.accuracy),
            estimates.headline("logit difference, clean", gate.clean, "logits"),
            estimates.headline("logit difference, corrupted", gate.corrupted, "logits"),
        ],
        sections=[
            Section(
                "Every task",
                [Table("tasks", table, first_rows=len(table)), *gates.refusals(tried)],
                intro="Kept: the share of prompts that are structurally fit for this tokenizer.",
            ),
            Section("Prompt by prompt", [gates.by_prompt(gate), gates.by_template(task, gate)]),
            Section(
                "Correct prompts alone",
                [gates.of_correct(task, gate, seed)],
                intro="A sensitivity analysis, chosen by outcome: it is no judgement of the task.",
            ),
            dropped,
        ],
        controls=[
            rules.rule(
                "the model guesses, or does as well after the corrupted prompts. Supported: right on at "
                "least three quarters of the prompts, and half a logit above the corrupted ones.",
                f"prompts like these {gate.n}, of {gate.accuracy.clusters} independent groups (templates); "
                f"fewer than {LEAST_CLUSTERS} say nothing of others, and the verdict is inconclusive.",
                "none is claimed: thresholds are stated, not tested.",
            )
        ],
    )


def tried_others(model, task, n: int, seed: int) -> dict:
    """The gates of the other built-in tasks, or why one cannot be built for this tokenizer."""
    found = {}
    settings = {"n": min(n, OTHERS), "seed": seed, "bos": model.bos_choice, "confirm": OTHERS // 2}
    for name in progress([each for each in tasks.names() if each != task.name], "tasks"):
        try:
            found[name] = tasks.gate(model, tasks.build(name, model.tokenizer, **settings))
        except UsageError as error:
            found[name] = str(error)
    return found
