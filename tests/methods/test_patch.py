"""Patches move one activation between the two runs, and only that."""

from itertools import cycle

import numpy as np
import pytest
import torch

import interp
from interp import edits, sites, tasks
from interp.components import Embedding, Head, KVHead, Layer, Slice
from interp.errors import UsageError
from interp.methods.patch import (
    At,
    n_heads_at,
    naive_patch,
    patch,
    patch_groups,
    worst_error,
)
from interp.metrics import AnswerLogProb, logit_difference
from interp.tasks.batches import FIRST, aligned, labels
from interp.transformer.inputs import ON_REQUEST

MODELS = ("tiny-gpt2", "tiny-neox", "tiny-llama", "tiny-attn-only", "tiny-bidirectional")


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return interp.load(request.param, dtype=torch.float64)


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=6, seed=1)


def all_sorts(model, task):
    """Every kind of site, at all positions and at places of every kind in turn."""
    kinds = ["resid_pre", "resid_mid", "attn_out", "mlp_out", "z", "q", "k", "v", "pattern"]
    places = cycle([*labels(task)[1:], 4, FIRST])
    slices = [
        Slice(site, (n_heads_at(model, kind) - 1,) if kind in kinds[4:] else None)
        for kind in kinds
        if (site := sites.Site(kind, 1)) in model.sites
    ]
    found = [Head(1, 2), Layer(1), KVHead(0, 0), Embedding(), *slices]
    return [each for what in found for each in (what, At(what, next(places)))]


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_every_patch_equals_whole_forward_passes(model, task, direction):
    patches = all_sorts(model, task)
    done = patch(model, task, patches, direction)
    batches = aligned(task, model.device)
    # Each patch on the prompts of one template, all templates in turn.
    for number, each in enumerate(patches):
        batch = batches[number % len(batches)]
        naive = naive_patch(model, batch, each, direction)
        effect = done.effects.values[number, batch.indices]
        np.testing.assert_allclose(effect, naive, atol=1e-10, err_msg=str(each))


def test_the_worst_error_is_small_and_sees_a_wrong_effect(model, task):
    done = patch(model, task, [Head(1, 0), At(Slice(sites.resid_pre(1)), "S2")])
    assert worst_error(model, task, done, "denoise", seed=0) < 1e-10
    done.effects.values[:] += 0.5
    assert worst_error(model, task, done, "denoise", seed=0) == pytest.approx(0.5)


def test_a_patch_of_one_head_at_one_name_is_that_edit_one_prompt_at_a_time(model, task):
    site, head = sites.z(1), 2
    done = patch(model, task, [At(Head(1, head), "S2")])
    for index, prompt in enumerate(task.kept):
        clean = model.run(torch.tensor([prompt.clean_tokens]), keep=[site]).cache
        made = edits.patch(site, clean, heads=head, positions=prompt.positions["S2"])
        values = []
        for change in ([], [made]):
            run = model.run(torch.tensor([prompt.corrupted_tokens]), edits=change, logits_at=-1)
            logits = run.logits[0, 0]
            values.append(float(logits[prompt.answer_token] - logits[prompt.wrong_token]))
        assert done.base[index] == pytest.approx(values[0], abs=1e-10)
        assert done.effects.values[0, index] == pytest.approx(values[1] - values[0], abs=1e-10)


def test_restoring_the_whole_stream_recovers_the_whole_gap(model, task):
    done = patch(model, task, [Slice(sites.resid_pre(1))])
    np.testing.assert_allclose(done.effects.values[0], done.gap, atol=1e-10)
    noised = patch(model, task, [Slice(sites.resid_pre(1))], "noise")
    np.testing.assert_allclose(noised.effects.values[0], -done.gap, atol=1e-10)


def test_patching_a_run_with_itself_changes_nothing(model, task):
    from interp.engine import sweep

    for batch in aligned(task, model.device):
        kinds = [site for site in model.sites if site.layer == 1 and "_scale" not in site.name]
        cache = model.run(batch.clean, keep=kinds, logits_at=-1).cache
        made = [edits.patch(site, cache) for site in kinds if site.kind not in ON_REQUEST]
        assert sweep(model, batch.clean, made, logit_difference(batch)).abs().max() < 1e-11


def test_before_the_first_token_that_differs_there_is_nothing_to_restore():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=8, seed=1)
    done = patch(model, task, [At(Slice(sites.resid_pre(1)), FIRST)])
    assert np.array_equal(done.effects.values, np.zeros((1, task.n)))


def test_patches_are_effects_that_know_their_prompts_names_and_unit(model, task):
    def log_prob(batch):
        return AnswerLogProb(batch.answer)

    cells = [At(Slice(sites.resid_pre(layer)), "END") for layer in range(2)]
    done = patch(model, task, cells, metric=log_prob)
    assert done.effects.task is task
    assert done.effects.unit == AnswerLogProb.unit
    assert done.effects.names.to_dict("list") == {
        "site": ["resid_pre"] * 2,
        "layer": [0, 1],
        "label": ["END"] * 2,
    }
    some = np.arange(task.n) < task.n // 2
    half = done.where(some).only(slice(1, None))
    np.testing.assert_array_equal(half.effects.values, done.effects.values[1:, some])
    assert half.recovery == half.effects.values.mean() / done.gap[some].mean()


def test_groups_in_one_sweep_are_as_each_by_itself(model, task):
    groups = {"cells": [At(Slice(sites.resid_pre(1)), "S2")], "none": [], "heads": [Head(1, 0)]}
    found = patch_groups(model, task, groups, "noise")
    assert list(found) == list(groups)
    assert not len(found["none"].effects)
    for name in ("cells", "heads"):
        alone = patch(model, task, groups[name], "noise")
        np.testing.assert_allclose(found[name].effects.values, alone.effects.values, atol=1e-10)
        assert found[name].effects.components == groups[name]


def test_an_unknown_position_is_named_with_those_there_are(model, task):
    with pytest.raises(UsageError, match="no position is called 'S3'.*END"):
        patch(model, task, [At(Head(0, 0), "S3")])


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_any_metric_of_a_patch_is_that_of_whole_runs(model, task, direction):
    def log_prob(batch):
        return AnswerLogProb(batch.answer)

    done = patch(model, task, [Head(1, 0), At(Head(0, 1), "S2")], direction, metric=log_prob)
    assert worst_error(model, task, done, direction, seed=0) < 1e-10
    for batch in aligned(task, model.device):
        ends = (batch.run(model, corrupted=each).logits[:, 0] for each in (False, True))
        each = [x.log_softmax(-1).gather(-1, batch.answer[:, None])[:, 0] for x in ends]
        clean, corrupted = (x.numpy() for x in each)
        gap = clean - corrupted if direction == "denoise" else corrupted - clean
        np.testing.assert_allclose(done.gap[list(batch.indices)], gap, atol=1e-10)
