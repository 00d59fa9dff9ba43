"""What a sweep takes above the model is at most its budget, packed weights and base run included; a
budget that is too small is refused, and the least that the refusal names is enough.

Measured: the peak of a process of its own in resident memory, which is at least its peak in private
memory, less what it had after the model was loaded and had run once.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import interp
from interp import edits, sites
from interp.engine import options
from interp.errors import UsageError
from interp.metrics import KLToBase, LogitDifference, Loss, Metric
from interp.transformer.packing import packed, packed_weights

ROOT = Path(__file__).parent.parent.parent
PEAK = """
import sys
import torch
import interp
from interp import edits, sites
from interp.metrics import KLToBase, LogitDifference, Loss

torch.set_num_threads(1)
budget, n_prompts, n_pos, metric = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
model = interp.load("smollm2-135m")
generator = torch.Generator().manual_seed(0)
d_vocab = model.config.d_vocab
tokens = torch.randint(0, d_vocab, (n_prompts, n_pos), generator=generator)
answer, wrong = torch.randint(0, d_vocab, (2, n_prompts), generator=generator)
metric = {"difference": LogitDifference(answer, wrong), "KL": KLToBase(), "loss": Loss(tokens)}[metric]
heads = [edits.zero(sites.z(layer), heads=head) for layer in (28, 29) for head in range(9)]
model.run(tokens[:2], logits_at=-1)

def memory(which):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(which)) * 1024

with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
before = memory("VmRSS")
interp.sweep(model, tokens, heads, metric, memory=budget)
print(memory("VmHWM") - before)
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def measured(budget, n_prompts, n_pos, metric):
    words = [sys.executable, "-c", PEAK, *map(str, (budget, n_prompts, n_pos, metric))]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def allowed(budget):
    return 1.1 * budget + (32 << 20)


@LINUX
@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("megabytes", [64, 256, 1024])
@pytest.mark.parametrize(
    ("n_prompts", "n_pos", "metric"), [(40, 18, "difference"), (24, 18, "KL"), (6, 18, "loss")]
)
def test_a_sweep_of_smollm2_takes_no_more_than_its_budget(megabytes, n_prompts, n_pos, metric):
    budget = megabytes << 20
    done = measured(budget, n_prompts, n_pos, metric)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= allowed(budget)


@LINUX
@pytest.mark.slow
@pytest.mark.real
def test_the_least_that_a_refusal_names_is_kept_to():
    refused = measured(64 << 20, 2, 400, "difference")
    found = re.search(r"needs at least .* memory=(\d+) ", refused.stderr)
    assert found, refused.stderr
    least = int(found[1])
    assert 64 << 20 < least < 512 << 20
    done = measured(least, 2, 400, "difference")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= allowed(least)


@pytest.fixture
def prompts(lab):
    model = lab.model({"n_ctx": 40, "d_model": 96, "d_mlp": 400, "d_head": 16}, torch.float32)
    tokens = torch.randint(0, 50, (200, 30), generator=torch.Generator().manual_seed(0))
    return model, tokens


def heads_of(model):
    return [
        edits.zero(sites.z(layer), heads=head)
        for layer in range(model.config.n_layers)
        for head in range(model.config.n_heads)
    ]


def metric_of(n):
    return LogitDifference(torch.arange(n) % 20, torch.arange(n) % 20 + 20)


def test_many_prompts_go_in_slices_of_tall_batches(prompts):
    """Not in batches of one, however little of the base run of all of them fits."""
    model, tokens = prompts
    work = interp.plan(model, tokens, heads_of(model), metric_of(200), memory=8 << 20)
    whole = interp.plan(model, tokens, heads_of(model), metric_of(200))
    held = work.draft.needs.held
    assert 200 * held > 8 << 20
    assert len(whole.draft.slices) == 1
    sizes = [each.stop - each.start for each in work.draft.slices]
    assert sum(sizes) == 200
    assert max(sizes) - min(sizes) <= 1
    assert work.memory <= 8 << 20
    tokens_at_once = [
        sum(job.n_tokens(30) for job in chunk) for part in work.parts() for chunk in part.chunks
    ]
    assert sum(tokens_at_once) / len(tokens_at_once) > 256
    assert f"batches of {len(sizes)} slices of the prompts" in str(work)


def test_slices_give_the_effects_of_all_prompts_together(lab, prompts):
    model, tokens = prompts[0].double(), prompts[1][:24]
    generator = torch.Generator().manual_seed(2)
    positions = torch.randint(0, 30, (24, 2), generator=generator)
    positions[:, 1] = 29
    value = torch.randn(24, 30, 96, generator=generator).double()
    interventions = [
        *heads_of(model),
        [],
        edits.put(sites.attn_out(1), value),
        edits.add(sites.resid_pre(1), value, scale=0.3),
        edits.patch(sites.resid_post(0), {sites.resid_post(0): value}, positions=positions),
        [edits.zero(sites.z(0), heads=1), edits.add(sites.mlp_out(2), value[0, 0])],
    ]
    real = torch.ones_like(tokens).bool()
    real[::3, 20:] = False
    right = torch.rand(24, 50, generator=generator) < 0.2
    metrics = [
        metric_of(24),
        KLToBase(at=torch.randint(0, 20, (24,), generator=generator)),
        Loss(tokens, 3, real),
        lab.metrics(tokens, real, 50)["probability sum"].__class__(right, ~right, at=-2),
    ]
    for metric in metrics:
        expected = interp.sweep(model, tokens, interventions, metric, attention_mask=real)
        arguments = {"attention_mask": real, "memory": 9 << 20}
        work = interp.plan(model, tokens, interventions, metric, **arguments)
        assert len(work.draft.slices) > 1
        for plan in (work, None):
            found = interp.sweep(model, tokens, interventions, metric, plan, **arguments)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
        assert work.skipped == 1


class Squared(LogitDifference):
    """A metric of someone else's, which might know more of its prompts than the answers."""

    def __call__(self, logits, examples):
        return super().__call__(logits, examples) ** 2


def test_functions_and_unknown_metrics_see_all_prompts_or_are_refused(prompts):
    model, tokens = prompts
    seen = []

    def note(z):
        seen.append(len(z))
        return z * 0.5

    own = Squared(torch.arange(200) % 20, torch.arange(200) % 20 + 20)
    for interventions, metric in (
        ([edits.call(sites.z(1), note)], metric_of(200)),
        (heads_of(model), own),
    ):
        assert interp.sweep(model, tokens, interventions, metric).any()
        with pytest.raises(UsageError, match="needs at least") as refusal:
            interp.sweep(model, tokens, interventions, metric, memory=8 << 20)
        least = int(re.search(r"memory=(\d+)", str(refusal.value))[1])
        assert interp.plan(model, tokens, interventions, metric, memory=least).memory <= least
    assert seen == [200]


def test_weights_are_packed_only_where_half_of_the_budget_holds_them(prompts):
    model, tokens = prompts
    size = sum(
        W.numel() * 4 for name, W in model.named_parameters() if "blocks" in name and "W_" in name
    )
    carried = []

    class Looking(LogitDifference):
        only = LogitDifference.only

        def __call__(self, logits, examples):
            carried.append(sum(packed_weights(model).values()))
            return super().__call__(logits, examples)

    metric = Looking(torch.arange(200) % 20, torch.arange(200) % 20 + 20)
    for memory, copies in ((2 * size - 1, 0), (12 * size, size), (None, size)):
        carried.clear()
        interp.sweep(model, tokens, heads_of(model)[-2:], metric, memory=memory)
        assert set(carried[1:]) <= {0, copies}
        assert carried[-1] == copies
    assert packed_weights(model) == {}


def test_a_budget_bounds_what_is_packed_before_the_sweep(prompts):
    """Methods pack once for all lengths of prompts; a sweep inside counts those copies."""
    model, tokens = prompts
    with packed(model, unembedding=False):
        size = sum(packed_weights(model).values())
    with options(memory=2 * size - 2), packed(model):
        assert packed_weights(model) == {}
    with options(memory=4 * size), packed(model, unembedding=False):
        assert sum(packed_weights(model).values()) == size
        inside = interp.plan(model, tokens, heads_of(model), metric_of(200))
        assert inside.draft.room.held == size
        assert inside.draft.room.rest == 3 * size
        # A sweep's own budget is above what is there already.
        own = interp.plan(model, tokens, heads_of(model), metric_of(200), memory=4 * size)
        assert own.draft.room.held == 0
    assert packed_weights(model) == {}


def test_every_metric_of_ours_can_be_told_some_prompts(lab):
    tokens, _, real = lab.prompts("padded")
    some = slice(1, 3)
    for name, metric in lab.metrics(tokens, real, 50).items():
        assert isinstance(metric, Metric)
        assert metric.divisible, name
        logits = torch.randn(4, 9, 50, generator=torch.Generator().manual_seed(0)).double()
        rows = torch.arange(4)[:, None]
        bound = metric.bound(logits.flip(0)[rows, metric.positions(real)])
        whole = interp.metrics.measured(bound, logits, real)
        few = metric.only(some).bound(logits.flip(0)[rows, metric.positions(real)][some])
        torch.testing.assert_close(
            interp.metrics.measured(few, logits[some], real[some]), whole[some]
        )
        again = interp.metrics.measured(bound.only(some), logits[some], real[some])
        torch.testing.assert_close(again, whole[some])
