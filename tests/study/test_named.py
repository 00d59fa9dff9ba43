"""Where there is nothing to name, heads have no name; where heads have one, a permutation takes it."""

import pytest

import interp
from interp import components, tasks
from interp.study import named


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
    assert (found["n"], found["named"]) == (20 * len(components.heads(model)), 0)


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
