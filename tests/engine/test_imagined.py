"""A rehearsal runs nothing, and knows what would run: as many forward passes and the same sweeps."""

import time

import pytest
import torch

import interp
from interp import components, edits, sites, tasks
from interp.engine import Forward, imagining, options
from interp.engine.speed import seconds_of_forward
from interp.methods.ablate import ablate
from interp.metrics import KLToBase, LogitDifference
from interp.transformer import Transformer

KINDS = ("mean", "resample")
METRIC = LogitDifference(torch.tensor([1, 2, 3, 4]), torch.tensor([5, 6, 7, 5]))


def test_what_is_made_up_has_the_shapes_of_a_run(lab, family, padding):
    model = lab.model(lab.families[family], torch.float32)
    tokens, _, real = lab.prompts(padding)
    wanted = lab.sites(model)
    twin = imagining(model)
    run = model.run(tokens, keep=wanted, attention_mask=real, logits_at=-1)
    made_up = twin.run(tokens, keep=wanted, attention_mask=real, logits_at=-1)
    assert made_up.logits.shape == run.logits.shape
    assert made_up.cache.keys() == run.cache.keys()
    for site in wanted:
        assert made_up.cache[site].shape == run.cache[site].shape, site
        assert made_up.cache[site].dtype == run.cache[site].dtype
        assert bool(made_up.cache[site].isfinite().all())
    assert twin.forwards == [Forward(4, 9, 1)]


def test_prompts_that_begin_alike_have_the_same_activations_up_to_there(lab, family):
    model = lab.model(lab.families[family], torch.float32)
    tokens, other, _ = lab.prompts("whole", seed=1)
    same = (tokens == other).cumprod(1).bool()
    if not model.config.causal:
        same = same.all(1, keepdim=True).expand_as(same)
    twin = imagining(model)
    kinds = [site for site in model.sites if site.axes[1] == "pos" and site.kind != "logits"]
    one, two = (twin.run(each, keep=kinds).cache for each in (tokens, other))
    for site in kinds:
        alike = (one[site] == two[site]).flatten(2).all(-1)
        assert torch.equal(alike, same), site


def test_a_rehearsed_sweep_is_planned_as_it_runs(lab, family):
    model = lab.model(lab.families[family], torch.float32)
    tokens, other, _ = lab.prompts("whole", seed=1)
    twin = imagining(model)
    kinds = ("resid_pre", "z", "v", "attn_out", "mlp_out")
    wanted = [site for site in model.sites if site.kind in kinds]

    def interventions(some):
        cache = some.run(other, keep=wanted, logits_at=-1).cache
        patches = [edits.patch(site, cache, positions=at) for site in wanted for at in range(9)]
        return [*patches, *(edits.zero(sites.z(0), heads=head) for head in range(6)), []]

    for metric in (METRIC, KLToBase()):
        expected = interp.plan(model, tokens, interventions(model), metric)
        plans = []
        with options(rehearsal=plans):
            found = interp.sweep(twin, tokens, interventions(twin), metric)
        assert not found.any()
        # A model that looks ahead has equal embeddings where what is made up differs.
        looks_ahead = not model.config.causal
        assert plans[0].flops == pytest.approx(expected.flops, rel=0.05 * looks_ahead)
        if not looks_ahead:
            assert plans[0].skipped == expected.skipped
            assert plans[0].n_batches == expected.n_batches


def test_a_rehearsal_notes_every_forward_pass_and_leaves_no_trace(monkeypatch):
    model = interp.load("tiny-llama")
    task = tasks.build("ioi", model.tokenizer, n=4, seed=0)
    heads = components.heads(model)[:2]
    twin, plans = imagining(model), []
    with options(rehearsal=plans):
        ablate(twin, task, heads, KINDS)
    n_forwards, compute = 0, Transformer.compute

    def counted(self, *arguments, **named):
        nonlocal n_forwards
        n_forwards += 1
        return compute(self, *arguments, **named)

    monkeypatch.setattr(Transformer, "compute", counted)
    found = ablate(model, task, heads, KINDS)
    # Each sweep has one base run, which is counted with it.
    assert n_forwards == len(twin.forwards) + len(plans)
    fresh = ablate(interp.load("tiny-llama"), task, heads, KINDS)
    for kind, effects in found.effects.items():
        assert (effects.values == fresh.effects[kind].values).all()


def test_gradients_are_real(lab):
    twin = imagining(lab.model({}))
    logits = twin(torch.arange(6)[None])
    logits.sum().backward()
    assert bool(twin.embed.W_E.grad.any())
    assert twin.forwards == []


def test_the_machine_is_tried_out_once_for_batches_alike(lab, monkeypatch):
    model = lab.model({"n_ctx": 64, "d_model": 64, "d_mlp": 256}, torch.float32)
    tokens = torch.randint(0, 50, (32, 20), generator=torch.Generator().manual_seed(0))
    metric = LogitDifference(torch.arange(32), torch.arange(32) + 10)
    heads = [edits.zero(sites.z(0), heads=head) for head in range(6)]
    plan = interp.plan(model, tokens, heads, metric)
    forward = Forward(32, 20, 1)
    assert plan.seconds > 0
    assert seconds_of_forward(model, forward) > 0
    monkeypatch.setattr("interp.engine.speed._rate", None)
    again = interp.plan(imagining(model), tokens, heads, metric)
    assert again.seconds == pytest.approx(plan.seconds)
    assert seconds_of_forward(model, forward) == pytest.approx(
        seconds_of_forward(model, Forward(64, 20, 1)) / 2, rel=0.01
    )


@pytest.mark.slow
def test_a_plan_says_within_a_factor_of_two_how_long_it_takes(lab):
    model = lab.model(
        {"n_layers": 4, "d_model": 256, "d_head": 32, "d_mlp": 1024, "n_ctx": 40},
        torch.float32,
    )
    tokens = torch.randint(0, 50, (24, 20), generator=torch.Generator().manual_seed(0))
    metric = LogitDifference(torch.arange(24), torch.arange(24) + 20)
    heads = [edits.zero(sites.z(at), heads=head) for at in range(4) for head in range(6)]
    said, took = [], []
    for _ in range(5):
        plan = interp.plan(model, tokens, heads * 2, metric)
        said.append(plan.seconds)
        began = time.perf_counter()
        interp.sweep(model, tokens, heads * 2, metric)
        took.append(time.perf_counter() - began)
    ratio = sorted(said)[2] / sorted(took)[2]
    assert 0.5 < ratio < 2
