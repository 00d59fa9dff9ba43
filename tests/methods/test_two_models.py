"""Two models on the same prompts: divergence and direct effects, each against plain runs."""

import numpy as np
import pytest
import torch

import interp
from interp import components, stats, tasks
from interp.components import Embedding, Head
from interp.effects import Effects
from interp.methods import two_models
from interp.views import two_models as shown


@pytest.fixture(scope="module")
def pair():
    before, after = (interp.load("tiny-gpt2", dtype=torch.float64) for _ in range(2))
    weights = {name: each.detach().clone() for name, each in after.named_parameters()}
    weights["blocks.1.attn.W_O"][0] *= 5
    after.assign(weights)
    return {"before": before, "after": after}


@pytest.fixture(scope="module")
def task(pair):
    return tasks.build("ioi", pair["after"].tokenizer, n=4)


def test_a_divergence_is_from_the_model_before_to_the_one_after(pair, task):
    found = two_models.divergence(*pair.values(), task)
    for prompt, each in zip(task.kept, found, strict=True):
        tokens = torch.tensor([prompt.clean_tokens])
        old, new = (torch.softmax(model.run(tokens).logits[0], -1) for model in pair.values())
        by_hand = (old * (old / new).log()).sum(-1).mean()
        assert each == pytest.approx(float(by_hand))
    assert found.min() > 0
    assert not two_models.divergence(pair["before"], pair["before"], task).any()


def test_direct_effects_add_up_in_each_model_and_have_one_row_a_shared_part(pair, task):
    attributed = two_models.attributed(pair, task)
    direct = two_models.shared(attributed, task)
    for side, each in direct.items():
        logits = attributed[side].logit_difference.numpy()
        assert each.values.sum(0) == pytest.approx(logits)
        assert attributed[side].error < 1e-9
    assert direct["before"].components == direct["after"].components
    assert Head(1, 0) in direct["after"].components
    # What is before the changed head writes the same, and is read through another final norm.
    row = direct["after"].components.index(Embedding())
    assert not np.allclose(direct["after"].values[row], direct["before"].values[row])


def test_the_parts_that_moved_most_are_said_with_their_layer(pair):
    moved = {Head(0, 1): 0.25, components.MLP(1): 0.5, Embedding(): 0.9, Head(1, 0): 0.1}
    assert shown.moved_most(moved) == "layer 1's mlp (50.0%) and L0H1 (25.0%)"
    frame = shown.weights_frame(moved)
    assert frame.distance.tolist() == [0.25, 0.5, 0.9, 0.1]
    heads = dict.fromkeys(components.heads(pair["after"]), 0.0)
    maps, chart, outside = shown.weights(heads | moved, pair["after"])
    by_head = maps.heatmaps[0].values
    assert (by_head[0, 1], by_head[1, 0]) == (0.25, 0.1)
    assert np.count_nonzero(by_head) == 2
    assert [(each.name, list(each.x), list(each.y)) for each in chart.series] == [
        ("mlp", [1], [0.5])
    ]
    assert outside.frame.to_numpy().tolist() == [["embed", 0.9]]


def test_a_table_has_both_sides_and_the_interval_of_their_difference(task):
    heads = [Head(0, 0), Head(0, 1)]
    values = np.random.default_rng(0).normal(size=(2, 2, task.n))
    before, after = (Effects(each, heads, task) for each in values)
    sides = {"before": before, "after": after, shown.DIFFERENCE: after - before}
    frame = shown.beside(sides, "ablation", "Every head").frame
    assert list(frame.columns)[2:5] == ["before", "after", "difference"]
    assert frame.before.tolist() == pytest.approx(values[0].mean(-1).tolist())
    assert frame.difference.tolist() == pytest.approx(
        stats.mean(values[1] - values[0], task.clusters).value.tolist()
    )


def test_parts_that_all_moved_alike_have_no_rank(task):
    effects = Effects(np.eye(6, task.n), [Head(0, head) for head in range(6)], task)
    assert shown.together(dict.fromkeys(effects.components, 1.0), effects) == []
    moved = zip(effects.components, np.abs(effects.mean()).tolist(), strict=True)
    [found] = shown.together(dict(moved), effects)
    assert found.n == 6
