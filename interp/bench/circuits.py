"""Rows on circuits: what they cost in plain forward passes of the same prompts, unpacked, without gradient,
and with logits at the end alone."""

from __future__ import annotations

from collections.abc import Callable

from interp.bench.rows import Row
from interp.bench.subject import Subject
from interp.bench.timing import interleaved, peak_memory
from interp.circuits.graph import Graph
from interp.circuits.scores import Scores, eap
from interp.circuits.written import kept_for, written
from interp.tasks.batches import PromptBatch


def scores(subject: Subject, n_prompts: int) -> list[Row]:
    """Scores of all edges by one backward pass and by five, with the corrupted run that they need."""
    if n_prompts == 1:
        return []
    some = subject.of(n_prompts)
    model, graph = some.ours, Graph.of(some.ours)
    answer, wrong = some.metric.answer, some.metric.wrong
    batch = PromptBatch.of_tokens(some.clean, some.corrupted, answer, wrong)

    def scored(steps: int) -> Scores:
        held = model.run(batch.corrupted, keep=kept_for(model), logits_at=-1).cache
        return eap(model, graph, batch, written(model, graph, held), steps=steps)

    took = interleaved(
        {
            "forward": lambda: model.run(batch.clean, logits_at=-1),
            "eap": lambda: scored(0),
            "eap_ig": lambda: scored(5),
        },
        rounds=5,
    )
    rows = []
    for name, steps, most in (("eap", 0, 6), ("eap_ig", 5, 22)):
        with peak_memory() as memory:
            scored(steps)
        ratio = took[name] / took["forward"]
        rows.append(
            Row(
                name,
                n_prompts,
                round(took[name], 4),
                "our plain forward, once",
                round(took["forward"], 4),
                round(took["forward"] / took[name], 2),
                round(memory.bytes / 2**20, 1),
                f"{ratio:.1f} forwards for {graph.n_edges:,} edges; at most {most}, and 1,500 MB",
            )
        )
    return rows


ROWS: dict[str, Callable[[Subject, int], list[Row]]] = {"scores": scores}
