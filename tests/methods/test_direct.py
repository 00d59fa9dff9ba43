"""Direct effects pass along the stream alone, and what is left of the total splits exactly."""

import numpy as np
import pytest
import torch

import interp
from interp import components, edits, sites, tasks
from interp.components import Head, Neuron
from interp.errors import UsageError
from interp.methods.ablate import KINDS, Values, ablate
from interp.methods.direct import readout
from interp.methods.offsets import offsets, repaired
from interp.metrics import logit_difference
from interp.tasks.batches import by_length

MODELS = ("tiny-gpt2", "tiny-neox", "tiny-llama", "tiny-attn-only", "tiny-bidirectional")


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return interp.load(request.param, dtype=torch.float64)


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=8, seed=1)


def test_the_readout_is_the_models_own_logit_difference(model, task):
    end = sites.resid_post(model.config.n_layers - 1)
    for batch in by_length(task, model.device):
        run = model.run(batch.clean, keep=[end], logits_at=-1)
        answer, wrong = run.logits[:, 0].gather(-1, logit_difference(batch).columns).unbind(-1)
        read = readout(model, logit_difference(batch))(run.cache[end][:, -1])
        torch.testing.assert_close(read, answer - wrong, atol=1e-11, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_direct_effect_is_what_is_left_with_all_later_writes_frozen(model, task, kind):
    """The slow way round: the ablated run with every later attn_out and mlp_out held."""
    config = model.config
    part = Head(0, 1)
    direct = ablate(model, task, [part], [kind]).direct[kind].values[0]
    held = [sites.attn_out(layer) for layer in range(1, config.n_layers)]
    if config.d_mlp:
        held += [sites.mlp_out(layer) for layer in range(config.n_layers)]
    for batch in by_length(task, model.device):
        values = Values(model, task, batch, [sites.z(0)])
        base = model.run(batch.clean, keep=held).cache
        new = values.under(kind)[sites.z(0)][:, :, 1:2]
        made = [edits.put(sites.z(0), new, heads=1), *(edits.freeze(s, base) for s in held)]
        runs = [
            model.run(batch.clean, edits=each, logits_at=-1).logits[:, 0] for each in ([], made)
        ]
        (clean, wrong), (ablated, also) = (
            x.gather(-1, logit_difference(batch).columns).T for x in runs
        )
        np.testing.assert_allclose(
            ((ablated - also) - (clean - wrong)).numpy(), direct[list(batch.indices)], atol=1e-10
        )


@pytest.mark.parametrize("kind", KINDS)
def test_direct_and_the_three_terms_add_up_to_the_total(model, task, kind):
    chosen = [Head(0, 1), Head(1, 2)]
    if model.config.d_mlp:
        chosen += [components.mlps(model)[0], Neuron(1, 3)]
    split = offsets(model, task, chosen, kind)
    done = ablate(model, task, chosen, [kind])
    assert split.error < 1e-11
    np.testing.assert_allclose(split.total, done.effects[kind].values, atol=1e-10)
    np.testing.assert_allclose(split.direct, done.direct[kind].values, atol=1e-12)
    np.testing.assert_allclose(split.offset, split.total - split.direct)


def test_the_terms_are_the_sums_of_what_later_writers_change(model, task):
    part = Head(0, 1)
    split = offsets(model, task, [part], "mean")
    change = split.after[0] - split.before[0]
    later = [each.layer > 0 for each in split.writers]
    is_head = [each.kind == "head" for each in split.writers]
    heads = change[np.array(later) & np.array(is_head)].sum(0)
    np.testing.assert_allclose(split.later_heads[0], heads, atol=1e-11)
    np.testing.assert_allclose(split.later_mlps[0], change[~np.array(is_head)].sum(0), atol=1e-11)


def test_nothing_comes_after_the_last_mlp_but_the_norm():
    model = interp.load("tiny-llama", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=4, seed=0)
    split = offsets(model, task, [components.mlps(model)[-1]], "zero")
    assert np.abs(split.direct).max() > 1e-3
    np.testing.assert_allclose(split.offset, 0.0, atol=1e-11)
    np.testing.assert_allclose(split.rescaling, 0.0, atol=1e-11)


def test_a_whole_layer_cannot_be_told_from_what_reacts_to_it(model, task):
    with pytest.raises(UsageError, match="expected heads, an MLP or neurons"):
        offsets(model, task, [components.attention_layers(model)[0]], "mean")


def test_the_table_of_offsets_has_means_over_some_prompts_and_repair_where_a_loss_is_made_up_for():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=8, seed=1)
    split = offsets(model, task, components.heads(model)[:4], "resample")
    some = np.arange(task.n) < 3
    frame = split.frame(some)
    assert list(frame) == [
        *("layer", "head", "total", "direct", "later_heads", "later_mlps", "rescaling", "offset"),
        "self_repair",
    ]
    np.testing.assert_allclose(frame["later_heads"], split.later_heads[:, some].mean(-1))
    np.testing.assert_allclose(frame["offset"], frame["total"] - frame["direct"], atol=1e-12)
    # A gain that goes on, a loss that gets worse and no offset at all are no repair.
    offset, direct = np.array([1.0, 1.0, -1.0, 0.0]), np.array([-2.0, 2.0, -2.0, -2.0])
    np.testing.assert_array_equal(repaired(offset, direct), [1.0, np.nan, np.nan, np.nan])
