"""How time and memory of a sweep grow with prompts, their length and the number of interventions."""

import time
from typing import Any

import torch

import interp
from interp import edits, sites
from interp.bench.subject import Subject
from interp.bench.timing import peak_memory
from interp.metrics import LogitDifference
from interp.transformer.packing import packed


def growth(subject: Subject) -> list[dict[str, Any]]:
    """Zero ablation of heads, one of the three numbers made larger at a time."""
    longer = [(4, 14, 30), (16, 14, 30), (64, 14, 30), (16, 28, 30), (16, 56, 30)]
    return [_measured(subject, *case) for case in [*longer, (16, 14, 90), (16, 14, 270)]]


def _measured(subject: Subject, n_prompts: int, n_pos: int, n_interventions: int) -> dict[str, Any]:
    # Random tokens: prompts that begin alike would share what they have in common.
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, subject.ours.config.d_vocab, (n_prompts, n_pos), generator=generator)
    answer, wrong = torch.randint(
        subject.ours.config.d_vocab, (2, n_prompts), generator=generator
    ).unbind()
    every = [(layer, head) for head in range(9) for layer in range(30)]
    chosen = [edits.zero(sites.z(layer), heads=head) for layer, head in every[:n_interventions]]
    metric = LogitDifference(answer, wrong)
    plan = interp.plan(subject.ours, tokens, chosen, metric)
    # Memory is counted above the weights, those laid out for oneDNN included.
    with torch.no_grad(), packed(subject.ours, unembedding=False), peak_memory() as memory:
        began = time.perf_counter()
        interp.sweep(subject.ours, tokens, chosen, metric)
        took = time.perf_counter() - began
    return {
        "prompts": n_prompts,
        "tokens": n_pos,
        "interventions": n_interventions,
        "seconds": round(took, 2),
        "seconds_per_tflop": round(took / plan.flops * 1e12, 2),
        "memory_mb": round(memory.bytes / 2**20, 1),
    }
