"""A plan says beforehand what a sweep does: what it skips, what it costs, and what cannot be meant."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import interp
from interp import edits, sites
from interp.errors import UsageError
from interp.metrics import KLToBase, LogitDifference

MIDDLING = {"n_layers": 6, "n_heads": 8, "d_model": 96, "d_head": 12, "d_mlp": 320, "d_vocab": 300}
SHAPES = {
    "gpt2": {"n_kv_heads": 8},
    "grouped": {"n_kv_heads": 2, "gated": True, "positions": "rotary", "tied": False},
    "parallel": {"n_kv_heads": 8, "parallel": True},
    "attention_only": {"n_kv_heads": 4, "d_mlp": 0},
}


@pytest.fixture
def gpt2(lab):
    return lab.model(lab.families["gpt2"])


@pytest.fixture
def prompts(lab):
    tokens, other, _ = lab.prompts("whole")
    return tokens, other


def metric_of(n=4):
    return LogitDifference(torch.arange(n), torch.arange(n, 2 * n))


def flops_of(work, *arguments):
    with FlopCounterMode(display=False) as counter:
        work(*arguments)
    return counter.get_total_flops()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("metric", [metric_of(), KLToBase()], ids=lambda metric: metric.name)
def test_planned_flops_are_those_that_are_counted(lab, shape, metric):
    model = lab.model({**MIDDLING, **SHAPES[shape]})
    tokens = torch.randint(0, 300, (4, 12), generator=torch.Generator().manual_seed(0))
    whole = [edits.zero(sites.z(at), heads=head) for at in range(6) for head in range(8)]
    late = [edits.zero(sites.resid_pre(at), positions=pos) for at in range(6) for pos in (3, 8, 11)]
    further = [[edits.zero(sites.z(1), heads=0), edits.zero(sites.attn_out(at))] for at in (2, 4)]
    for interventions in (whole, late, further):
        work = interp.plan(model, tokens, interventions, metric)
        naive = flops_of(model.run, tokens)
        one = work.flops_naive / len(interventions)
        assert one == pytest.approx(naive, rel=0.03)
        # The plan counts the base run as well, which it has already made.
        done = flops_of(interp.sweep, model, tokens, interventions, metric, work)
        assert work.flops - one == pytest.approx(done, rel=0.08)
        assert work.flops - one < work.flops_naive


def test_a_patch_that_changes_nothing_is_skipped_and_its_effect_is_zero(lab, family):
    model = lab.model(lab.families[family], torch.float32)
    tokens, other, _ = lab.prompts("whole", seed=1)
    differs = (tokens != other).any(0).nonzero().min()
    cache = model.run(other, keep="all").cache
    kinds = [site for site in model.sites if site.kind in ("resid_pre", "resid_post", "z", "v")]
    interventions = [edits.patch(site, cache, positions=at) for site in kinds for at in range(9)]
    metric = metric_of()
    work = interp.plan(model, tokens, interventions, metric)
    before = torch.tensor([edit.where.positions[0] < differs for edit in interventions])
    found = interp.sweep(model, tokens, interventions, metric)
    if model.config.causal:
        assert 0 < int(before.sum()) <= work.skipped
        assert not found[before].any()
        # The first prompt is the same in both.
        assert not found[:, 0].any()
    assert found[~before].any()
    itself = model.run(tokens, keep="all").cache
    undone = [edits.freeze(site, itself) for site in kinds] + [[]]
    work = interp.plan(model, tokens, undone, metric)
    assert work.skipped == len(undone)
    assert work.chunks == ()
    assert not interp.sweep(model, tokens, undone, metric).any()


def test_nothing_runs_for_what_comes_after_the_position_that_is_read(gpt2, prompts):
    metric = LogitDifference(torch.arange(4), torch.arange(4, 8), at=torch.tensor([2, 3, 2, 1]))
    interventions = [edits.zero(sites.z(1), positions=at) for at in range(9)]
    work = interp.plan(gpt2, prompts[0], interventions, metric)
    assert work.skipped == 5
    (found,) = [job for chunk in work.chunks for job in chunk if job.number == 3]
    assert found.examples.tolist() == [1]


def test_a_plan_reads_as_a_sentence(gpt2, prompts):
    interventions = [edits.zero(sites.z(1)), [], edits.call(sites.z(0), lambda z: z)]
    text = str(interp.plan(gpt2, prompts[0], interventions, metric_of()))
    assert "3 interventions on 4 prompts of 9 tokens: 1 change nothing, 1 run one by one" in text
    assert "TFLOP" in text
    assert "MiB" in text


def test_the_seconds_grow_with_the_work(gpt2, prompts):
    few = [edits.zero(sites.resid_pre(0))]
    one, ten = (interp.plan(gpt2, prompts[0], few * n, metric_of()) for n in (1, 10))
    # Beside the base run, which is one forward pass for both.
    assert ten.flops - one.flops == pytest.approx(9 * (one.flops - one.flops_naive))
    assert ten.seconds > 0


def wrong():
    z, head = sites.z(1), torch.zeros(4, 9, 2, 4, dtype=torch.float64)
    yield "head that is not there", [edits.zero(z, heads=6)], "head indices must lie in"
    yield "unit that is not there", [edits.zero(sites.mlp_post(1), units=28)], "indices must lie in"
    yield "position that is not there", [edits.zero(z, positions=9)], "positions must lie in 0…8"
    yield "positions of other prompts", [edits.zero(z, positions=[[1], [2]])], "given for 2 prompts"
    yield "layer that is not there", [edits.zero(sites.z(3))], "nearest names"
    yield "site of another family", [edits.zero(sites.rot_q(1))], "nearest names"
    yield "heads where there are none", [edits.zero(sites.resid_pre(1), heads=1)], "no head axis"
    yield "value of another shape", [edits.put(z, head, heads=1)], "expected a value of shape"
    yield (
        "vector of another length",
        [edits.add(z, head[0, 0, 0, :3])],
        "expected a vector of shape",
    )
    late = [edits.zero(sites.z(0)), edits.put(sites.q(2), head)]
    yield "second edit of several", [late], "expected a value of shape"


@pytest.mark.parametrize(
    ("interventions", "words"), [pytest.param(*w[1:], id=w[0]) for w in wrong()]
)
def test_an_edit_that_does_not_fit_is_refused_before_anything_runs(
    gpt2, prompts, interventions, words
):
    with pytest.raises(UsageError, match=words):
        interp.plan(gpt2, prompts[0], interventions, metric_of())


def test_prompts_and_answers_that_do_not_fit_are_refused(gpt2, prompts):
    tokens, _ = prompts
    some = [edits.zero(sites.z(1))]
    with pytest.raises(UsageError, match="outside the vocabulary"):
        interp.plan(gpt2, tokens + 50, some, metric_of())
    holes = torch.tensor([[1, 0, 1, 1, 1, 1, 1, 1, 1]] * 4)
    with pytest.raises(UsageError, match="holes"):
        interp.plan(gpt2, tokens, some, metric_of(), attention_mask=holes)
    with pytest.raises(UsageError, match="knows 3 prompts' answers, the run has 4"):
        interp.plan(gpt2, tokens, some, metric_of(3))
    with pytest.raises(UsageError, match="answers must be tokens 0…49"):
        interp.plan(gpt2, tokens, some, LogitDifference(torch.arange(4), torch.arange(4) + 47))
    metric = LogitDifference(torch.arange(4), torch.arange(4, 8), at=8)
    real = torch.arange(9).expand(4, -1) < 8
    with pytest.raises(UsageError, match="not padding"):
        interp.plan(gpt2, tokens, some, metric, attention_mask=real)
    with pytest.raises(UsageError, match="positive number of bytes"):
        interp.plan(gpt2, tokens, some, metric_of(), memory=0)
    with pytest.raises(UsageError, match="plan is of 1 interventions, the sweep has 2"):
        interp.sweep(
            gpt2, tokens, some * 2, metric_of(), interp.plan(gpt2, tokens, some, metric_of())
        )
