"""Repeated random tokens: what they are, and what a model and a head gain by the repetition."""

import pytest
import torch

import interp
from interp import components, edits, sites
from interp.components import Head
from interp.errors import UsageError
from interp.methods import controls, measured, repetition
from interp.methods.ablate import ablate, worst_error
from interp.methods.measured import value
from interp.methods.repetition import Gained, Repetition
from interp.metrics import KLToBase


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-gpt2", dtype=torch.float64)


def test_random_tokens_are_not_special_and_begin_with_the_tasks_bos(model):
    of = repetition.draw(model, length=20, copies=3, count=4, seed=5)
    special = set(model.tokenizer.all_special_ids)
    assert of.begin == 1
    assert set(of.tokens[:, 0].tolist()) <= special
    assert not special & set(of.tokens[:, 1:].flatten().tolist())
    first = of.tokens[:, 1:21]
    assert torch.equal(of.tokens[:, 21:41], first)
    assert torch.equal(of.tokens[:, 41:], first)
    assert all(len(set(row.tolist())) == 20 for row in first)
    with pytest.raises(UsageError, match="context"):
        repetition.draw(model, length=100, copies=2, count=1, seed=0)


def loss_of_each_token(model, row):
    logits = model.run(row[None]).logits[0].log_softmax(-1)
    return [-float(logits[place - 1, row[place]]) for place in range(1, len(row))]


@pytest.mark.parametrize("begin", [0, 1])
def test_a_gain_is_the_mean_over_the_first_copy_less_that_over_the_second(model, begin):
    drawn = repetition.draw(model, length=5, copies=2, count=3, seed=1)
    of = Repetition(drawn.tokens[:, 1 - begin :], begin, 5, 2)
    gained = value(model, Gained(of.tokens, begin, length=5), of.tokens)
    losses = repetition.losses(model, of)
    first, second = of.by_copy(losses)
    assert first.shape == second.shape == (3, 4)
    for row, tokens in enumerate(of.tokens):
        plain = loss_of_each_token(model, tokens)
        assert losses[row].tolist() == pytest.approx(plain)
        # The loss of token t is at t − 1; the first token of each copy is left out.
        copies = plain[begin : begin + 4], plain[begin + 5 : begin + 9]
        assert first[row].tolist() == pytest.approx(copies[0])
        assert second[row].tolist() == pytest.approx(copies[1])
        assert float(gained[row]) == pytest.approx((sum(copies[0]) - sum(copies[1])) / 4)


def test_a_metric_of_some_prompts_after_the_others_is_that_of_all(model, monkeypatch):
    of = repetition.draw(model, length=6, copies=2, count=5, seed=1)
    base = repetition.draw(model, length=6, copies=2, count=5, seed=2).tokens
    made = [edits.zero(sites.z(1), heads=[0])]
    for metric in (Gained(of.tokens, of.begin, length=6), KLToBase()):
        whole = value(model, metric, of.tokens, made, base)
        for most in (1, 2 * 12 * model.config.d_vocab):
            monkeypatch.setattr(measured, "_AT_ONCE", most)
            assert value(model, metric, of.tokens, made, base).tolist() == whole.tolist()


def test_corrupted_sequences_have_the_same_second_copy_and_another_first(model):
    of, other = (repetition.draw(model, length=6, copies=2, count=4, seed=seed) for seed in (0, 1))
    task = repetition.as_task(model, of, other)
    assert task.n == 4
    assert len(set(task.clusters)) == 4
    for row, prompt in enumerate(task.kept):
        assert prompt.clean_tokens == tuple(of.tokens[row].tolist())
        assert prompt.corrupted_tokens[:7] == tuple(other.tokens[row, :7].tolist())
        assert prompt.corrupted_tokens[7:] == prompt.clean_tokens[7:]


def test_a_gain_goes_through_the_ablation_of_any_head(model):
    of, other = (repetition.draw(model, length=6, copies=2, count=4, seed=seed) for seed in (0, 1))
    task, heads = repetition.as_task(model, of, other), components.heads(model)
    done = ablate(model, task, heads, ["resample", "zero"], metric=of.gained)
    assert worst_error(model, task, done, seed=0) < 1e-9
    first, second = of.by_copy(repetition.losses(model, of))
    assert done.clean == pytest.approx(first.mean(-1) - second.mean(-1))
    assert done.effects["resample"].unit == "nats per token"
    assert abs(done.effects["resample"].values).max() > 1e-6


def test_others_are_of_the_same_layers_and_none_of_the_given():
    every = [Head(layer, index) for layer in range(3) for index in range(4)]
    given = [Head(0, 1), Head(2, 0), Head(0, 3)]
    found = controls.beside_others(given, every, seed=3)
    assert found[:3] == given
    assert [head.layer for head in found[3:]] == [0, 2, 0]
    assert len(set(found)) == 6
    # Where all heads of a layer are given there is no other.
    assert controls.beside_others(every[:4], every) == every[:4]
