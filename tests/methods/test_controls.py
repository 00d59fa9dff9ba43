"""Directional controls move components as far as the change, elsewhere; effects are whole forward passes."""

import numpy as np
import pytest
import torch

import interp
from interp import components, edits, sites, tasks
from interp.components import Neuron
from interp.errors import UsageError
from interp.methods.ablate import ablate
from interp.methods.controls import Fresh, confirm, directly_on_fresh_prompts, on_fresh_prompts
from interp.methods.moves import WAYS, Bank, Moves
from interp.metrics import AnswerLogProb, KLToBase
from interp.tasks.batches import by_length

MODELS = ("tiny-gpt2", "tiny-llama", "tiny-attn-only")


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return interp.load(request.param, dtype=torch.float64)


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=8, seed=1)


def moves(model, task, *kinds):
    wanted = [sites.Site(kind, 1) for kind in kinds]
    runs = [Moves(model, batch, wanted) for batch in by_length(task, model.device)]
    return runs, Bank(runs)


def kinds_of(model):
    return ("z", "mlp_out", "mlp_post") if model.config.d_mlp else ("z", "attn_out")


@pytest.mark.parametrize("way", WAYS)
def test_every_vector_moves_as_far_as_the_change_in_another_direction(model, task, way):
    runs, bank = moves(model, task, *kinds_of(model))
    for run in runs:
        new = run.moved(bank, way, 0, seed=3)
        for site, value in new.items():
            change, other = run.other[site] - run.base[site], value - run.base[site]
            norm = torch.abs if site.kind == "mlp_post" else lambda each: each.norm(dim=-1)
            torch.testing.assert_close(norm(other), norm(change))
            if site.kind != "mlp_post":
                alike = torch.cosine_similarity(change, other, dim=-1).abs()
                assert alike[norm(change) > 0].median() < 0.9


def test_a_manifold_direction_is_the_difference_of_two_prompts_of_other_templates(model, task):
    runs, bank = moves(model, task, "z")
    site = sites.z(1)
    known = torch.cat([run.base[site][:, -1] for run in runs]).flatten(1)
    templates = [prompt.template for run in runs for prompt in run.batch.prompts]
    for run in runs:
        found = bank.differences(run, site, 0, seed=5)[:, -1].flatten(1)
        for row, prompt in enumerate(run.batch.prompts):
            pairs = known[:, None] - known[None] - found[row]
            one, two = divmod(int(pairs.norm(dim=-1).argmin()), len(known))
            torch.testing.assert_close(known[one] - known[two], found[row])
            assert prompt.template not in (templates[one], templates[two])


@pytest.mark.parametrize("way", WAYS)
def test_directions_belong_to_the_prompt_and_to_seed_and_draw(model, task, way):
    runs, bank = moves(model, task, "z")
    site = sites.z(1)
    first = runs[0].moved(bank, way, 0, seed=0)[site]
    assert torch.equal(runs[0].moved(bank, way, 0, seed=0)[site], first)
    for draw, seed in ((1, 0), (0, 1)):
        assert not torch.allclose(runs[0].moved(bank, way, draw, seed)[site], first)


@pytest.mark.parametrize("direction", ["noise", "denoise"])
def test_effects_on_fresh_prompts_are_whole_forward_passes(model, task, direction):
    every = [components.heads(model)[1], components.attention_layers(model)[1]]
    if model.config.d_mlp:
        every += [components.mlps(model)[0], Neuron(1, 3)]
    fresh = on_fresh_prompts(model, task, every, direction, seed=2)
    for index, prompt in enumerate(task.kept):
        base, source = prompt.clean_tokens, prompt.corrupted_tokens
        if direction == "denoise":
            base, source = source, base
        cache = model.run(torch.tensor([source]), keep=components.sites_of(every, model)).cache

        def difference(made, tokens=base, prompt=prompt):
            logits = model.run(torch.tensor([tokens]), edits=made, logits_at=-1).logits[0, 0]
            return float(logits[prompt.answer_token] - logits[prompt.wrong_token])

        before = difference([])
        assert fresh.gap[index] == pytest.approx(difference([], source) - before, abs=1e-10)
        for row, part in enumerate(every):
            made = [
                edits.patch(where.site, cache, where.heads, None, where.units)
                for where in part.slices(model)
            ]
            assert fresh.effects.values[row, index] == pytest.approx(
                difference(made) - before, abs=1e-9
            )


def test_controls_on_fresh_prompts_are_whole_runs_moved_elsewhere(model, task):
    head = components.heads(model)[1]
    fresh = on_fresh_prompts(model, task, [head], seed=2)
    (where,) = head.slices(model)
    runs = [Moves(model, batch, [where.site]) for batch in by_length(task, model.device)]
    bank = Bank(runs)
    for run in runs:
        batch = run.batch
        for way, name in WAYS.items():
            edit = edits.patch(where.site, run.moved(bank, way, 0, 2), where.heads)
            sides = [
                model.run(run.base_tokens, edits=made, logits_at=-1).logits[:, 0]
                for made in ([edit], [])
            ]
            rows = torch.arange(len(batch))
            moved, base = (
                logits[rows, batch.answer] - logits[rows, batch.distractor] for logits in sides
            )
            found = fresh.controls[name].values[0, list(batch.indices)]
            np.testing.assert_allclose(found, (moved - base).numpy(), atol=1e-9)


def test_resample_ablation_and_its_direct_effect_are_those_of_ablate(model, task):
    heads = components.heads(model)[:3]
    done = ablate(model, task, heads, ("resample",))
    fresh = on_fresh_prompts(model, task, heads)
    direct = directly_on_fresh_prompts(model, task, heads)
    np.testing.assert_allclose(fresh.effects.values, done.effects["resample"].values, atol=1e-9)
    np.testing.assert_allclose(direct.effects.values, done.direct["resample"].values, atol=1e-9)
    assert list(fresh.controls) == list(direct.controls) == list(WAYS.values())


def test_controls_of_the_last_attention_without_mlps_act_directly():
    model = interp.load("tiny-attn-only", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=4, seed=0)
    last = components.heads(model)[-model.config.n_heads :]
    total = on_fresh_prompts(model, task, last, draws=2, seed=4)
    direct = directly_on_fresh_prompts(model, task, last, draws=2, seed=4)
    for name, each in total.controls.items():
        np.testing.assert_allclose(each.values, direct.controls[name].values, atol=1e-9)


def test_one_position_alone_is_edited_where_one_is_named(model, task):
    heads = components.heads(model)[:2]
    ends = on_fresh_prompts(model, task, heads, at="END")
    assert not np.allclose(ends.effects.values, on_fresh_prompts(model, task, heads).effects.values)
    with pytest.raises(UsageError, match="no position is called 'S3'"):
        on_fresh_prompts(model, task, heads, at="S3")


def test_any_metric_of_fresh_prompts_is_that_of_whole_runs(model, task):
    head = components.heads(model)[:1]
    fresh = on_fresh_prompts(model, task, head, metric=lambda batch: AnswerLogProb(batch.answer))
    assert fresh.effects.unit == "nats"
    for batch in by_length(task, model.device):
        corrupted, clean = (
            batch.run(model, [sites.z(0)], corrupted=each) for each in (True, False)
        )
        moved = edits.patch(sites.z(0), corrupted.cache, heads=0)
        found = batch.run(model, edits=[moved])
        before, after, other = (
            run.logits[:, 0].log_softmax(-1).gather(-1, batch.answer[:, None])[:, 0]
            for run in (clean, found, corrupted)
        )
        index = list(batch.indices)
        np.testing.assert_allclose(fresh.effects.values[0, index], after - before, atol=1e-10)
        np.testing.assert_allclose(fresh.gap[index], other - before, atol=1e-10)


def test_confirming_puts_the_chosen_to_the_test_on_fresh_prompts_in_their_own_words():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=8, seed=1)
    for of, what, within in (
        (components.heads, "heads", "of the same layers"),
        (components.mlps, "MLPs", "of any layer"),
    ):
        effects = ablate(model, task, of(model), ("resample",)).effects["resample"]
        screen = effects.of_any_layer() if what == "MLPs" else effects
        found = confirm(model, screen.select(2), seed=3)
        fresh = on_fresh_prompts(model, task.confirmation, screen.select(2).components, seed=3)
        np.testing.assert_array_equal(found.fresh.values, fresh.effects.values)
        assert set(found.confirmation.controls) == set(fresh.controls)
        assert (found.what, found.matched, found.seed) == (what, within, 3)


def test_what_is_recovered_is_the_share_of_the_gap_between_clusters_means():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=8, seed=1)
    fresh = on_fresh_prompts(model, task, components.heads(model)[:3], "denoise")
    means = [
        np.mean([each[..., task.clusters == one].mean(-1) for one in set(task.clusters)], axis=0)
        for each in (fresh.effects.values, fresh.gap)
    ]
    np.testing.assert_allclose(fresh.recovery, means[0] / means[1])
    with pytest.raises(UsageError, match="no gap"):
        _ = Fresh(fresh.effects, {}).recovery


def test_a_choice_by_one_metric_is_confirmed_by_the_same(model, task):
    heads = components.heads(model)

    def divergence(batch):
        return KLToBase()

    chosen = (
        ablate(model, task, heads, ["resample"], metric=divergence).effects["resample"].select(2)
    )
    test = confirm(model, chosen, metric=divergence)
    assert test.fresh.unit == chosen.screen.unit == "nats"
    assert not test.fresh.signed
    with pytest.raises(
        UsageError, match="a choice by effects in nats is tested by effects of the same"
    ):
        confirm(model, chosen)
