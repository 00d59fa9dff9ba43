"""Rows on circuits: what they cost in plain forward passes of the same prompts, unpacked, without gradient,
and with logits at the end alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from interp.bench.rows import Row
from interp.bench.subject import Subject
from interp.bench.timing import Work, interleaved, peak_memory
from interp.circuits.controls import random_circuits, uniform_circuits
from interp.circuits.graph import Graph, top
from interp.circuits.run import run_circuits
from interp.circuits.scores import Scores, eap
from interp.circuits.search import FRACTIONS, strongest
from interp.circuits.written import kept_for, written
from interp.tasks.batches import PromptBatch

# Shares of the edges, and how many plain forwards a circuit of them may take.
_SHARES = {0.01: 1.3, 0.05: 1.3, 0.2: 2.2, 0.5: 2.2, 0.95: 2.2, 1.0: 2.2}


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


def circuits(subject: Subject, n_prompts: int) -> list[Row]:
    """One circuit of so many of the strongest edges, what stands for the others being known."""
    if n_prompts == 1:
        return []
    some = subject.of(n_prompts)
    model, graph = some.ours, Graph.of(some.ours)
    answer, wrong = some.metric.answer, some.metric.wrong
    batch = PromptBatch.of_tokens(some.clean, some.corrupted, answer, wrong)
    held = model.run(batch.corrupted, keep=kept_for(model), logits_at=-1).cache
    other = written(model, graph, held)
    strength = eap(model, graph, batch, other).each.mean(0).abs().numpy()
    masks = {share: top(strength, graph.allowed, int(share * graph.n_edges)) for share in _SHARES}

    def run(share: float) -> Work:
        return lambda: run_circuits(model, graph, batch.clean, other, [masks[share]])

    works: dict[str, Work] = {"forward": lambda: model.run(batch.clean, logits_at=-1)}
    took = interleaved(works | {f"{share}": run(share) for share in _SHARES}, rounds=5)
    rows = []
    for share, most in _SHARES.items():
        with peak_memory() as memory:
            run(share)()
        seconds, forward = took[f"{share}"], took["forward"]
        rows.append(
            Row(
                f"circuit {share:.0%}",
                n_prompts,
                round(seconds, 4),
                "our plain forward, once",
                round(forward, 4),
                round(forward / seconds, 2),
                round(memory.bytes / 2**20, 1),
                f"{seconds / forward:.2f} forwards for {int(masks[share].sum()):,} edges; at most {most}",
            )
        )
    return rows


def curve(subject: Subject, n_prompts: int, controls: int = 20) -> list[Row]:
    """The curve of ten sizes: circuits of the strongest edges, their complements, and random circuits of each
    size, one size after the other with a plain forward pass before each."""
    if n_prompts == 1:
        return []
    some = subject.of(n_prompts)
    model, graph = some.ours, Graph.of(some.ours)
    batch = PromptBatch.of_tokens(some.clean, some.corrupted, some.metric.answer, some.metric.wrong)
    held = model.run(batch.corrupted, keep=kept_for(model), logits_at=-1).cache
    other = written(model, graph, held)
    means = eap(model, graph, batch, other).each.mean(0).double().cpu().numpy()
    plain, took, number = [], 0.0, 0
    for fraction in FRACTIONS:
        masks = [strongest(graph, means, fraction)]
        if fraction < 1:
            # Where no path is left there are no random circuits of that size, and any as large do.
            drawn = (
                random_circuits(graph, masks[0], controls)
                if masks[0].any()
                else uniform_circuits(graph, round(fraction * graph.n_edges), controls)
            )
            masks += [graph.allowed & ~masks[0], *drawn]
        plain.append(_seconds(lambda: model.run(batch.clean, logits_at=-1)))
        took += _seconds(partial(run_circuits, model, graph, batch.clean, other, masks))
        number += len(masks)
    once = statistics.median(plain)
    note = f"{took / once:.0f} forwards for {number} circuits, {took / once / number:.2f} each; at most 450"
    return [
        Row(
            "circuit_curve",
            n_prompts,
            round(took, 4),
            "our plain forward, once",
            round(once, 4),
            round(once / took, 4),
            0.0,
            note,
        )
    ]


def _seconds(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


ROWS: dict[str, Callable[[Subject, int], list[Row]]] = {
    "scores": scores,
    "circuits": circuits,
    "curve": curve,
}
