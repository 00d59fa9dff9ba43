"""Ablations are what their names say, at all positions, on every prompt."""

from itertools import product

import numpy as np
import pytest
import torch

import interp
from interp import components, edits, sites, tasks
from interp.components import Embedding, Head, Neuron, together
from interp.errors import UsageError
from interp.methods.ablate import (
    KINDS,
    Values,
    ablate,
    naive_effect,
    worst_error,
)
from interp.methods.neurons import neuron_effects
from interp.metrics import KLToBase, Loss, measured
from interp.tasks.batches import aligned, by_length

MODELS = ("tiny-gpt2", "tiny-neox", "tiny-llama", "tiny-attn-only", "tiny-bidirectional")


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return interp.load(request.param, dtype=torch.float64)


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=8, seed=1)


def difference(model, task, prompt, tokens, made=()):
    logits = model.run(torch.tensor([tokens]), edits=made, logits_at=-1).logits[0, 0]
    return float(logits[prompt.answer_token] - logits[prompt.wrong_token])


def replacement(model, task, index, site, kind):
    """What the definition puts at this site of one prompt, from runs of single prompts."""
    prompt = task.kept[index]

    def corrupted(each):
        return model.run(torch.tensor([each.corrupted_tokens]), keep=[site]).cache[site]

    if kind == "resample":
        return corrupted(prompt)
    pool = [row for row in task.pool[prompt.pool_key] if row != prompt.corrupted_tokens]
    each = [model.run(torch.tensor([row]), keep=[site]).cache[site] for row in pool]
    return torch.cat(each).mean(0, keepdim=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_effect_of_a_head_is_its_definition_one_prompt_at_a_time(model, task, kind):
    layer, head = model.config.n_layers - 1, 1
    done = ablate(model, task, components.heads(model), [kind])
    row = layer * model.config.n_heads + head
    site = sites.z(layer)
    for index, prompt in enumerate(task.kept):
        if kind == "zero":
            made = edits.zero(site, heads=head)
        else:
            new = replacement(model, task, index, site, kind)
            made = edits.put(site, new[:, :, head : head + 1], heads=head)
        clean = difference(model, task, prompt, prompt.clean_tokens)
        ablated = difference(model, task, prompt, prompt.clean_tokens, [made])
        assert done.clean[index] == pytest.approx(clean, abs=1e-10)
        assert done.effects[kind].values[row, index] == pytest.approx(ablated - clean, abs=1e-10)


def test_every_kind_of_part_equals_whole_forward_passes(model, task):
    every = [components.heads(model)[1], components.kv_heads(model)[0]]
    every += [components.attention_layers(model)[1], components.layers(model)[0]]
    every += [Embedding(), together(Head(0, 1), Head(1, 0), Head(1, 2))]
    if model.config.d_mlp:
        every += [components.mlps(model)[1], Neuron(0, 5), Neuron(1, 7)]
    done = ablate(model, task, every, KINDS)
    batches = by_length(task, model.device)
    measured = [Values(model, task, batch, components.sites_of(every, model)) for batch in batches]
    # Each on prompts of one length, all lengths in turn.
    for number, (kind, row) in enumerate(product(done.effects, range(len(every)))):
        values = measured[number % len(batches)]
        naive = naive_effect(model, values, every[row], kind)
        effect = done.effects[kind].values[row, values.batch.indices]
        np.testing.assert_allclose(naive, effect, atol=1e-10)


def test_the_worst_error_is_small_and_sees_a_wrong_effect(model, task):
    done = ablate(model, task, components.heads(model)[:2])
    assert worst_error(model, task, done, seed=0) < 1e-10
    done.effects["mean"].values[:] += 0.5
    assert worst_error(model, task, done, seed=0) == pytest.approx(0.5)


def test_prompts_of_a_batch_have_one_length(model, task):
    for batch in by_length(task, model.device):
        assert len({len(prompt.clean_tokens) for prompt in batch.prompts}) == 1


@pytest.mark.parametrize("batches", [by_length, aligned])
def test_every_prompt_is_in_one_batch(model, task, batches):
    found = [index for batch in batches(task, model.device) for index in batch.indices]
    assert sorted(found) == list(range(task.n))


def test_the_last_attention_of_a_model_without_mlps_acts_directly():
    model = interp.load("tiny-attn-only", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=4, seed=0)
    last = components.heads(model)[-model.config.n_heads :]
    done = ablate(model, task, last)
    for kind in KINDS:
        np.testing.assert_allclose(done.direct[kind].values, done.effects[kind].values, atol=1e-10)


def test_a_first_order_estimate_is_exact_where_the_model_is_linear():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=4, seed=0)
    model.ln_final.kind = "none"
    last = model.config.n_layers - 1
    d_mlp = model.config.d_mlp
    estimated = neuron_effects(model, task, "mean").only(slice(last * d_mlp, None))
    done = ablate(model, task, components.neurons(model, last), ["mean"])
    np.testing.assert_allclose(estimated.values, done.effects["mean"].values, atol=1e-10)


def test_a_model_without_mlps_has_none_to_take_out():
    with pytest.raises(UsageError, match="attention only"):
        components.mlps(interp.load("tiny-attn-only"))


def halved(activation, batch):
    """A kind of ablation of one's own."""
    assert len(activation) == len(batch)
    return activation / 2


def loss(batch):
    return Loss(batch.clean, start=2, real=batch.real)


@pytest.mark.parametrize("metric", [loss, lambda batch: KLToBase()], ids=["loss", "kl"])
def test_any_metric_of_any_kind_is_that_of_whole_runs(model, task, metric):
    heads = components.heads(model)[:3]
    done = ablate(model, task, heads, ["zero", halved], metric=metric)
    assert not done.direct
    assert worst_error(model, task, done, seed=0) < 1e-10
    for row, head in enumerate(heads):
        site = sites.z(head.layer)
        for batch in by_length(task, model.device):
            base = model.run(batch.clean).logits
            half = edits.call(site, lambda z: z / 2, heads=head.index)
            other = model.run(batch.clean, [half]).logits
            measure = metric(batch).bound(base[:, -1:])
            before, after = (measured(measure, each, batch.real) for each in (base, other))
            index = list(batch.indices)
            found = done.effects[halved]
            assert (found.unit, found.signed) == (measure.unit, not measure.never_negative)
            np.testing.assert_allclose(found.values[row, index], after - before, atol=1e-10)
            np.testing.assert_allclose(done.clean[index], before, atol=1e-10)


def test_a_kind_of_ones_own_has_direct_effects(model, task):
    last = components.heads(model)[-1:]
    done = ablate(model, task, last, [halved])
    if not model.config.d_mlp:
        np.testing.assert_allclose(
            done.direct[halved].values, done.effects[halved].values, atol=1e-10
        )
    assert np.abs(done.direct[halved].values).max() > 0


def test_a_kind_that_returns_another_shape_is_refused(model, task):
    with pytest.raises(UsageError, match="must return an activation"):
        ablate(model, task, components.heads(model)[:1], [lambda z, batch: z[:, :1]])
