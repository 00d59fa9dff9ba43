"""A sweep equals one naive run for each intervention, whatever the intervention, model and metric."""

import pytest
import torch

import interp
from interp import edits, sites
from interp.metrics import LogitDifference

EXACT, CLOSE = 1e-10, 1e-4
METRICS = ("logit difference inside", "log-probability", "probability sum", "KL", "loss")


def world(lab, family, padding, dtype=torch.float64, seed=0):
    model = lab.model(lab.families[family], dtype, seed)
    tokens, other, real = lab.prompts(padding, seed)
    run = model.run(other, keep=[*lab.sites(model)], attention_mask=real)
    metrics = lab.metrics(tokens, real, model.config.d_vocab_out)
    return model, tokens, real, run.cache, metrics


def compared(lab, model, tokens, real, interventions, metric, **options):
    found = interp.sweep(model, tokens, interventions, metric, attention_mask=real, **options)
    expected = lab.naive(model, tokens, real, interventions, metric)
    return found, expected


@pytest.mark.every_pair
def test_every_site_with_every_value(lab, family, padding):
    model, tokens, real, cache, metrics = world(lab, family, padding)
    n_values, seed = (3, len(family)) if padding == "whole" else (2, 2 * len(family))
    interventions = lab.every_site_and_value(model, cache, seed, n_values)
    found, expected = compared(lab, model, tokens, real, interventions, metrics["logit difference"])
    assert float(expected.abs().max()) > 0.01
    for row, wanted, edit in zip(found, expected, interventions, strict=True):
        assert lab.worst(row, wanted) <= EXACT, str(edit)


def test_several_random_edits_at_once_under_every_metric(lab, family, padding):
    model, tokens, real, cache, metrics = world(lab, family, padding)
    for seed, name in enumerate(METRICS):
        interventions = lab.random_interventions(model, cache, 8, seed=len(family) + 10 * seed)
        found, expected = compared(lab, model, tokens, real, interventions, metrics[name])
        assert float(expected.abs().max()) > 0.0001
        for row, wanted, made in zip(found, expected, interventions, strict=True):
            assert lab.worst(row, wanted) <= EXACT, (name, [str(edit) for edit in made])


def test_float32_differs_by_rounding_alone(lab, family, padding):
    model, tokens, real, cache, metrics = world(lab, family, padding, torch.float32)
    interventions = lab.random_interventions(model, cache, 12, seed=11)
    for name in ("logit difference", "loss"):
        found, expected = compared(lab, model, tokens, real, interventions, metrics[name])
        assert lab.worst(found, expected) <= CLOSE


def test_accuracy_counts_the_same_answers(lab):
    model, tokens, real, cache, metrics = world(lab, "llama", "whole")
    interventions = lab.random_interventions(model, cache, 30, seed=5)
    found, expected = compared(lab, model, tokens, real, interventions, metrics["accuracy"])
    assert torch.equal(found, expected)
    assert found.any()


def test_edits_before_and_after_the_position_that_is_read(lab, padding):
    model, tokens, real, _, _ = world(lab, "gpt2", padding)
    at = torch.tensor([5, 3, 4, 6])
    metric = LogitDifference(torch.arange(4), torch.arange(4, 8), at=at)
    interventions = [
        edits.zero(site(layer), positions=[position])
        for site in (sites.resid_pre, sites.z, sites.mlp_out)
        for layer in range(3)
        for position in range(9)
    ]
    found, expected = compared(lab, model, tokens, real, interventions, metric)
    assert lab.worst(found, expected) <= EXACT
    first = torch.tensor([edit.where.positions[0] for edit in interventions])
    assert not found[first[:, None] > at[None]].any()


def test_the_order_of_edits_at_one_place_is_kept(lab):
    model, tokens, real, cache, metrics = world(lab, "llama", "whole")
    double = edits.add(sites.z(1), cache[sites.z(1)])
    clear = edits.zero(sites.z(1), heads=2)
    both = [[double, clear], [clear, double], [double, double], [clear, clear, double]]
    found, expected = compared(lab, model, tokens, real, both, metrics["logit difference"])
    assert lab.worst(found, expected) <= EXACT
    assert not torch.allclose(found[0], found[1])


def test_a_patch_with_what_another_edit_has_changed_is_not_skipped(lab, family):
    """Put back what the base run had there, after something earlier moved it: not the same as no edit."""
    model, tokens, real, _, metrics = world(lab, family, "whole")
    own = model.run(tokens, keep="all").cache
    moved = edits.zero(sites.z(0), heads=1)
    interventions = [[moved, edits.freeze(sites.z(layer), own)] for layer in (1, 2)]
    interventions.append([moved, *(edits.freeze(sites.z(layer), own) for layer in (1, 2))])
    found, expected = compared(lab, model, tokens, real, interventions, metrics["logit difference"])
    assert lab.worst(found, expected) <= EXACT
    alone, _ = compared(lab, model, tokens, real, [[moved]], metrics["logit difference"])
    assert not torch.allclose(found[2], alone[0])


def test_prompts_are_left_as_they_were(lab):
    model, tokens, real, cache, metrics = world(lab, "gpt2", "padded")
    before = tokens.clone(), real.clone(), {name: w.clone() for name, w in model.named_parameters()}
    kept = {site: cache[site].clone() for site in cache}
    interp.sweep(
        model,
        tokens,
        lab.random_interventions(model, cache, 20, seed=1),
        metrics["loss"],
        attention_mask=real,
    )
    assert torch.equal(tokens, before[0])
    assert torch.equal(real, before[1])
    assert all(torch.equal(w, before[2][name]) for name, w in model.named_parameters())
    assert all(torch.equal(cache[site], activation) for site, activation in kept.items())


def test_one_prompt_of_one_token_is_a_sweep_too(lab, family):
    model = lab.model(lab.families[family])
    tokens = torch.tensor([[7]])
    metric = LogitDifference(torch.tensor([1]), torch.tensor([2]))
    interventions = [edits.zero(sites.z(layer), heads=h) for layer in range(3) for h in range(6)]
    interventions.append(edits.zero(sites.embed()))
    real = torch.ones_like(tokens).bool()
    found, expected = compared(lab, model, tokens, real, interventions, metric)
    assert lab.worst(found, expected) <= EXACT
    assert float(found.abs().max()) > 0.001
