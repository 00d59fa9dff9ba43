"""Attention to named positions is what the pattern has there, each place once, and sums like a pattern."""

import numpy as np
import pytest
import torch

import interp
from interp import components, sites, tasks
from interp.components import Head
from interp.effects import Effects
from interp.methods.named_attention import (
    EVEN,
    confirm,
    even_spread,
    pairs,
    patterns,
    to_places,
)
from interp.tasks.batches import places, whole
from interp.views import attention as shown


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-gpt2", dtype=torch.float64)


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=12, seed=1)


@pytest.fixture(scope="module")
def prompts(model, task):
    return whole(task, model.device)


@pytest.fixture(scope="module")
def run(model, prompts):
    return prompts.run(model, keep=[sites.pattern(layer) for layer in range(model.config.n_layers)])


HEADS = [Head(2, 1), Head(1, 3)]


def test_an_even_spread_gives_each_visible_position_as_much(model, prompts):
    spread = even_spread(model, prompts)
    for row, end in enumerate(prompts.end.tolist()):
        np.testing.assert_allclose(spread[row, 0, end, : end + 1], 1 / (end + 1))
        assert float(spread[row, 0, end].sum()) == pytest.approx(1)


def test_attention_to_names_is_that_of_the_pattern_from_end(task, run, prompts):
    found = to_places(task, patterns(run, HEADS).unbind(1), ["S2", "IO"])
    for row, prompt in enumerate(task.kept):
        pattern = run.cache[sites.pattern(2)][row, 1, prompts.end[row]]
        expected = pattern[prompt.positions["S2"]] + pattern[prompt.positions["IO"]]
        assert found[0, row] == pytest.approx(float(expected))


def test_a_place_of_two_names_counts_once(task, run):
    every = list(places(task))
    once = to_places(task, patterns(run, HEADS).unbind(1), every)
    twice = to_places(task, patterns(run, HEADS).unbind(1), [*every, *every])
    np.testing.assert_array_equal(once, twice)


def test_pairs_are_named_and_stand_beside_an_even_spread(model, task, run, prompts):
    effects, even = pairs(model, run, prompts, HEADS, task)
    names = effects.names
    row = names.index[(names["layer"] == 1) & (names["query"] == "END") & (names["key"] == "S2")][0]
    (alone,) = to_places(task, patterns(run, HEADS[1:]).unbind(1), ["S2"])
    np.testing.assert_allclose(effects.values[row], alone)
    spread = to_places(task, even_spread(model, prompts).unbind(1), ["S2"])
    assert even[row] == pytest.approx(spread.mean())
    assert len(even) == len(effects)


def test_confirming_is_on_fresh_prompts_upwards_and_beside_an_even_spread(model, task, run):
    random = np.random.default_rng(0)
    heads = components.heads(model)
    chosen = Effects(random.normal(size=(len(heads), task.n)), heads, task).select(3)
    test = confirm(model, run, chosen, ["S2", "IO"])
    fresh = task.confirmation
    again = whole(fresh, model.device).run(
        model, keep=[sites.pattern(layer) for layer in range(model.config.n_layers)]
    )
    expected = to_places(fresh, patterns(again, chosen.components).unbind(1), ["S2", "IO"])
    np.testing.assert_allclose(test.fresh.values, expected)
    screen = to_places(task, patterns(run, chosen.components).unbind(1), ["S2", "IO"])
    np.testing.assert_allclose(test.selection.screen.values[chosen.rows], screen)
    assert test.selection.one_sided
    assert list(test.confirmation.controls) == [EVEN]


def test_the_table_has_from_end_first_and_the_map_its_heads_by_keys(model, task, run, prompts):
    every = components.heads(model)
    direct = np.zeros((len(every), task.n))
    rows = [every.index(head) for head in HEADS]
    direct[rows] = [[3.0], [-2.0]]
    chosen = Effects(direct, every, task).select(2)
    effects, even = pairs(model, run, prompts, HEADS, task)
    frame = shown.between(effects, even)
    ends = (frame["query"] == "END").to_numpy()
    assert ends[: ends.sum()].all()
    assert frame["attention"][: ends.sum()].is_monotonic_decreasing
    assert frame["ci_low"].min() >= 0
    assert frame["ci_high"].max() <= 1
    words = frame[ends & ~frame["key"].isin(["BOS", "END"])].iloc[0]
    assert f"attends from END to {words['key']} with {words['attention']:.2f}" in shown.strongest(
        frame
    )
    (grid,) = shown.from_end(effects, chosen).heatmaps
    assert grid.rows == ("L2H1", "L1H3")
    assert "L2H1 +3.00, L1H3 -2.00" in grid.note
    column = grid.columns.index("S2")
    here = frame[(frame["query"] == "END") & (frame["key"] == "S2") & (frame["layer"] == 2)].index[
        0
    ]
    assert grid.values[0][column] == pytest.approx(effects.values[here].mean())


def test_patterns_of_some_prompts_are_shown_without_padding(model, run, task):
    block = shown.on_prompts(model, run, HEADS, most=3)
    assert len(block.patterns) == 3
    for tokens, pattern in zip(block.tokens, block.patterns, strict=True):
        assert np.shape(pattern) == (2, len(tokens), len(tokens))
        np.testing.assert_allclose(np.sum(pattern, -1), 1, rtol=1e-5)
