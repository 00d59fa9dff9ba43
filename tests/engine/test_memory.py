"""Memory bounds a sweep, and neither the bound nor running out of it changes the numbers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import interp
from interp import edits, sites
from interp.engine import options
from interp.engine.chunk import run_chunk
from interp.engine.cost import bytes_of
from interp.engine.plan import drafted
from interp.errors import InterpError, UsageError
from interp.metrics import LogitDifference

ROOT = Path(__file__).parent.parent.parent
METRIC = LogitDifference(torch.tensor([1, 2, 3, 4]), torch.tensor([5, 6, 7, 5]))
GROWTH = """
import resource, sys
import torch
import interp
from interp import edits, sites
from interp.metrics import KLToBase
from interp.transformer import Config, Transformer

torch.set_num_threads(1)
n, where, budget, n_pos = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
config = Config(n_layers=3, n_heads=8, d_model=64, d_head=16, d_mlp=256, d_vocab=2000, n_ctx=n_pos)
model = Transformer(config)
for weight in model.parameters():
    torch.nn.init.normal_(weight, std=0.05)
tokens = torch.randint(0, 2000, (8, n_pos))
positions = -1 if where == "end" else None
some = [
    edits.zero(sites.z(at), heads=head, positions=positions) for at in range(3) for head in range(8)
]
interp.sweep(model, tokens, some[:1], KLToBase(), memory=budget)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = peak()
interp.sweep(model, tokens, (some * n)[:n], KLToBase(), memory=budget)
print(peak() - before)
"""


def interventions_on(model):
    n_layers, n_heads = model.config.n_layers, model.config.n_heads
    alone = [edits.zero(sites.z(at), heads=h) for at in range(n_layers) for h in range(n_heads)]
    late = [
        edits.zero(sites.resid_pre(at), positions=p) for at in range(n_layers) for p in range(9)
    ]
    further = [[edits.zero(sites.z(0), heads=h), edits.zero(sites.attn_out(2))] for h in range(6)]
    return [*alone, *late, *further]


def least_of(model, tokens, interventions, metric, **kept):
    """What the refusal names, to the byte."""
    with pytest.raises(UsageError, match="needs at least .* --memory 1M") as refusal:
        interp.plan(model, tokens, interventions, metric, **kept, memory=1)
    low, high = 1, int(re.search(r"memory=(\d+)", str(refusal.value))[1])
    while low < high:
        middle = (low + high) // 2
        try:
            drafted(model, tokens, interventions, metric, kept.get("attention_mask"), middle)
            high = middle
        except UsageError:
            low = middle + 1
    return high


def peak_of(n, where, budget, n_pos):
    words = [sys.executable, "-c", GROWTH, *map(str, (n, where, budget, n_pos))]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_the_budget_changes_the_batches_and_not_the_effects(lab, family, padding):
    model = lab.model(lab.families[family])
    tokens, _, real = lab.prompts(padding)
    interventions = interventions_on(model)[::3]
    kept = {"attention_mask": real}
    whole = interp.plan(model, tokens, interventions, METRIC, **kept)
    expected = interp.sweep(model, tokens, interventions, METRIC, whole)
    least = least_of(model, tokens, interventions, METRIC, **kept)
    for memory in (int(whole.memory * 0.9), (whole.memory + least) // 2, least):
        small = interp.plan(model, tokens, interventions, METRIC, **kept, memory=memory)
        for plan in (small, None):
            found = interp.sweep(model, tokens, interventions, METRIC, plan, **kept, memory=memory)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        assert small.n_batches >= whole.n_batches
        assert small.memory <= memory
        torch.testing.assert_close(small.value, whole.value)
        torch.testing.assert_close(small.end, whole.end)
        assert small.skipped == whole.skipped
    # With the least there is, prompt by prompt.
    parts = list(small.parts())
    assert [part.prompts for part in parts] == [slice(at, at + 1) for at in range(len(tokens))]
    assert all(len(job.examples) == 1 for part in parts for chunk in part.chunks for job in chunk)


def test_the_same_plan_gives_the_same_bits(lab, family):
    model = lab.model(lab.families[family], torch.float32)
    tokens, _, _ = lab.prompts("whole")
    interventions = interventions_on(model)
    first, again = (interp.sweep(model, tokens, interventions, METRIC) for _ in range(2))
    assert torch.equal(first, again)


def failing(times, largest=None):
    """`run_chunk`, out of memory the first so many times or for batches of more rows than these; and
    the sizes that it was called with."""
    sizes = []

    def run(model, base, jobs, logits_at_once):
        rows = sum(len(job.examples) for job in jobs)
        sizes.append(rows)
        if len(sizes) <= times or (largest is not None and rows > largest):
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 987654321 bytes. Error code 12 (Cannot allocate memory)"
            )
        return run_chunk(model, base, jobs, logits_at_once)

    return run, sizes


@pytest.mark.parametrize("largest", [None, 30, 3, 1])
def test_out_of_memory_halves_the_batch_and_goes_on(lab, monkeypatch, largest):
    model = lab.model(lab.families["llama"])
    tokens, _, real = lab.prompts("padded")
    interventions, notes = interventions_on(model)[::2], []
    with options(notes=notes):
        expected = interp.sweep(model, tokens, interventions, METRIC, attention_mask=real)
    assert notes == []
    run, sizes = failing(1, largest)
    monkeypatch.setattr(sys.modules["interp.engine.sweep"], "run_chunk", run)
    with options(notes=notes):
        found = interp.sweep(model, tokens, interventions, METRIC, attention_mask=real)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert len(notes) == 1
    assert "memory ran out and" in notes[0]
    assert sizes[1] <= (sizes[0] + 4) // 2
    assert largest is None or sizes[-1] <= largest


def test_what_no_halving_helps_says_what_to_do(lab, monkeypatch):
    model = lab.model({})
    tokens, _, _ = lab.prompts("whole")
    monkeypatch.setattr(sys.modules["interp.engine.sweep"], "run_chunk", failing(0, largest=0)[0])
    with pytest.raises(InterpError, match="out of memory for a single .* use shorter prompts"):
        interp.sweep(model, tokens, interventions_on(model), METRIC)


def test_other_errors_are_not_taken_for_a_want_of_memory(lab, monkeypatch):
    def broken(model, base, jobs, logits_at_once):
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(sys.modules["interp.engine.sweep"], "run_chunk", broken)
    tokens, _, _ = lab.prompts("whole")
    with pytest.raises(RuntimeError, match="size mismatch"):
        interp.sweep(lab.model({}), tokens, [edits.zero(sites.z(0))], METRIC)


def test_no_chunk_is_planned_above_the_budget(lab):
    """Keys and values that a row reads of the base run count too, however late the row begins."""
    model = lab.model({"n_ctx": 400})
    tokens = torch.randint(0, 50, (4, 400), generator=torch.Generator().manual_seed(0))
    ends = [edits.zero(sites.z(at), heads=h, positions=-1) for at in range(3) for h in range(6)]
    budget = 48 << 20
    work = interp.plan(model, tokens, ends * 20, METRIC, memory=budget)
    for part in work.parts():
        held = work.draft.needs.held * (part.prompts.stop - part.prompts.start)
        for chunk in part.chunks:
            taken = sum(bytes_of(model.config, job, part.base) for job in chunk)
            assert held + taken + work.draft.needs.fixed <= work.memory <= budget
    assert work.n_batches > len(work.draft.slices) > 1


@pytest.mark.slow
@pytest.mark.parametrize(("where", "n_pos", "many"), [("all", 24, 600), ("end", 400, 2000)])
def test_memory_stays_within_the_budget_however_many_interventions(where, n_pos, many):
    budget = 96 << 20
    few, more = peak_of(many // 8, where, budget, n_pos), peak_of(many, where, budget, n_pos)
    # The allocator keeps some pages, oneDNN some buffers.
    assert more <= budget + (32 << 20)
    assert more - few <= budget / 4


def test_options_reach_sweeps_inside_and_what_is_not_given_stays(lab):
    model = lab.model({})
    tokens, _, _ = lab.prompts("whole")
    interventions, told = interventions_on(model), []
    wide = interp.plan(model, tokens, interventions, METRIC)

    def tell(done, total, word):
        told.append((done, total, word))

    with options(memory=wide.memory // 2):
        narrow = interp.plan(model, tokens, interventions, METRIC)
        with options(progress=tell):
            interp.sweep(model, tokens, interventions, METRIC)
    assert narrow.memory <= wide.memory // 2
    assert len(told) == len(narrow.chunks) > len(wide.chunks)
    assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})
    assert told[-1][0] == told[-1][1] == sum(map(len, narrow.chunks))
    assert {word for _, _, word in told} == {"interventions"}
    told.clear()
    interp.sweep(model, tokens, interventions, METRIC)
    assert told == []
    assert len(interp.plan(model, tokens, interventions, METRIC).chunks) == len(wide.chunks)
