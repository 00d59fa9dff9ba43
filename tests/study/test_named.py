"""Where there is nothing to name, heads have no name; where heads have one, a permutation takes it."""

import sys
from pathlib import Path

import numpy as np
import pytest

import interp
from interp import components, tasks
from interp.circuits.roles import roles
from interp.study import named

sys.path.insert(0, str(Path(__file__).parents[1] / "circuits"))
import planted


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-gpt2")


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=8, seed=0, confirm=24)


@pytest.mark.parametrize("times", [1.0, named.LARGE])
def test_of_models_with_random_weights_no_head_is_named(model, task, times):
    found = named.row("random", named.of_random_models(model, task, 1, times))
    assert (found["n"], found["named"]) == (24, 0)


def test_heads_whose_three_things_are_mixed_are_not_named(model, task):
    found = named.row("permuted", named.permuted(model, task, 20))
    assert found["n"] >= 20
    assert found["named"] == 0


def test_exchanged_answers_are_the_same_prompts(task):
    other = named.exchanged(task)
    pairs = [(each.answer_token, each.wrong_token) for each in task.prompts]
    turned = [(each.answer_token, each.wrong_token) for each in other.prompts]
    assert 0 < sum(one != two for one, two in zip(pairs, turned, strict=True)) < task.n
    assert all(set(one) == set(two) for one, two in zip(pairs, turned, strict=True))
    assert [each.clean_tokens for each in other.prompts] == [
        each.clean_tokens for each in task.prompts
    ]


def test_a_row_counts_names():
    found = named.row("a null", ["", "induction", "", "induction", "name mover", ""])
    assert (found["n"], found["named"], found["most"]) == (6, 0.5, "induction")
    assert found["named_low"] < 0.5 < found["named_high"]
    assert named.row("nothing", [])["n"] == 0


def test_a_permutation_leaves_names_at_the_rate_of_chance():
    """A head is named by a rule as often as the shares of heads with each of its three things multiply."""
    built, task = planted.movers()
    assert len([name for name in named.called(built, task, task) if name]) == 4
    found = named.row("permuted", named.permuted(built, task, 400))
    asked = roles(built, task, components.heads(built), fresh=task, every=True).found
    rates = [things.mean(-1).prod() for things in asked.values()]
    assert max(rates) > 0
    assert found["named"] == pytest.approx(1 - np.prod([1 - each for each in rates]), abs=0.02)
    assert found["named"] < 4 / 6 / 4
