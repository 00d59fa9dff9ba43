"""Rows on single edges: what their exact effects cost beside a sweep of a layer's heads, and a search that
removes them one by one beside the plain loop."""

import time
from collections.abc import Callable

import numpy as np
import torch

import interp
from interp import edits, sites, tasks
from interp.bench.rows import Row
from interp.bench.subject import Subject
from interp.bench.timing import interleaved, peak_memory
from interp.circuits import Graph
from interp.circuits.acdc import acdc, kl, rows
from interp.circuits.exact import batch_effects
from interp.circuits.naive_acdc import backwards, naive_acdc
from interp.circuits.removal import Search
from interp.circuits.run import BLOCK
from interp.circuits.written import kept_for, written
from interp.engine.options import options
from interp.engine.plan import Plan
from interp.tasks.batches import PromptBatch

_LAYER, _EDGES, _TAU = 15, 36, 0.001


def exact_edges(subject: Subject, n_prompts: int) -> list[Row]:
    """Edges into the readers of the middle layer, everywhere and at the end alone, beside the same number of
    heads of that layer patched from the same corrupted prompts."""
    some = subject.of(n_prompts)
    model, graph = some.ours, Graph.of(some.ours)
    batch = PromptBatch.of_tokens(some.clean, some.corrupted, some.metric.answer, some.metric.wrong)
    into = [edge for edge in graph.edges() if edge.reader.layer == _LAYER]
    chosen = np.random.default_rng(0).permutation(len(into))[:_EDGES]
    edges = [into[at] for at in chosen]
    held = model.run(batch.corrupted, keep=kept_for(model), logits_at=-1).cache
    other, end = written(model, graph, held), batch.end
    numbers = [number % model.config.n_heads for number in range(_EDGES)]
    heads = [edits.patch(sites.z(_LAYER), held, heads=head) for head in numbers]
    at_end = [edits.patch(sites.z(_LAYER), held, heads=head, positions=-1) for head in numbers]
    works: dict[str, Callable[[], torch.Tensor]] = {
        "forward": lambda: model.run(batch.clean, logits_at=-1).logits,
        "edges": lambda: batch_effects(model, graph, batch, other, edges, some.metric),
        "heads": lambda: interp.sweep(model, batch.clean, heads, some.metric),
        "edges at end": lambda: batch_effects(
            model, graph, batch, other, edges, some.metric, at=end
        ),
        "heads at end": lambda: interp.sweep(model, batch.clean, at_end, some.metric),
    }
    took = interleaved(works, 3)
    found = []
    for name, where in (("exact_edges", ""), ("exact_edges_end", " at end")):
        plans: list[Plan] = []
        with options(rehearsal=plans):
            works["edges" + where]()
            works["heads" + where]()
        base = plans[0].flops_naive / len(edges)
        flops = [(each.flops - base) / _EDGES for each in plans]
        with peak_memory() as memory:
            works["edges" + where]()
        ours, theirs = took["edges" + where], took["heads" + where]
        note = (
            f"{ours / _EDGES / took['forward']:.3f} of a forward an edge into layer {_LAYER}, "
            f"{theirs / _EDGES / took['forward']:.3f} a head; {flops[0] / flops[1]:.2f} of its FLOPs"
        )
        row = (name, n_prompts, ours, f"as many heads of the layer{where}", theirs, memory.bytes)
        found.append(Row.of(*row, note))
    return found


def removed_edges(subject: Subject, n_prompts: int) -> list[Row]:
    """ACDC on a small trained model, beside the loop that runs the whole circuit once an edge."""
    if n_prompts == 1:
        return []
    model = interp.load("books-gpt2")
    graph = Graph.of(model)
    task = tasks.build("gendered_pronoun", model.tokenizer, n=n_prompts)
    began = time.perf_counter()
    with peak_memory() as memory:
        found = acdc(model, graph, task, _TAU)
    ours = time.perf_counter() - began
    search = Search(model, graph, task, _TAU, "resample", kl, BLOCK)
    began = time.perf_counter()
    plain = naive_acdc(
        graph.allowed,
        rows(graph),
        _TAU,
        lambda mask: search.whole([mask])[0],
        backwards(graph.allowed),
    )
    theirs = time.perf_counter() - began
    counts = found.counts
    note = (
        f"{int(found.kept.sum())} of {graph.n_edges:,} edges left, {int((found.kept ^ plain).sum())} of them "
        f"others than the loop's; {counts.evaluated:,} decisions of {counts.speculated:,} circuits tried, "
        f"{counts.wasted} for nothing, {counts.alone} decisions made alone"
    )
    peer = "the whole circuit, once an edge"
    return [Row.of("acdc", n_prompts, ours, peer, theirs, memory.bytes, note)]


ROWS: dict[str, Callable[[Subject, int], list[Row]]] = {
    "exact_edges": exact_edges,
    "removed_edges": removed_edges,
}
