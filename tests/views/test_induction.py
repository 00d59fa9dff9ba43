"""Scores of heads as tables: the clearest of each kind, beside the others and chance."""

import numpy as np
import pytest
import torch

from interp.methods.induction import Scores
from interp.stats import mean
from interp.views import induction, rules

VALUES = torch.tensor([[[0.1, 0.3], [0.6, 0.6]], [[0.9, 0.7], [0.0, 0.2]]])
FOUND = Scores(
    {"induction": VALUES, "copying": 1 - VALUES},
    {
        "induction": torch.tensor([0.25, 0.5]),
        "copying": torch.tensor([0.1, 0.3]),
    },
)


def test_the_clearest_heads_of_each_score_come_first_with_their_layers_chance():
    frame = induction.clearest(FOUND, seed=0, top=2).frame
    assert frame[["score", "layer", "head"]].to_numpy().tolist() == [
        ["induction", 1, 0],
        ["induction", 0, 1],
        ["copying", 1, 1],
        ["copying", 0, 0],
    ]
    assert frame.value.tolist() == pytest.approx([0.8, 0.6, 0.9, 0.8])
    assert frame.chance.tolist() == pytest.approx([0.5, 0.25, 0.3, 0.1])


def test_the_clearest_stands_beside_the_median_head():
    [row, _] = induction.beside_chance(FOUND).frame.to_numpy().tolist()
    assert row == ["induction", pytest.approx(0.8), pytest.approx(0.4), pytest.approx(0.375)]


def test_the_longest_interval_is_that_of_the_least_sure():
    sure, unsure = mean(np.array([1.0, 1.0, 1.1])), mean(np.array([1.0, 2.0, 4.0]))
    assert rules.longest(sure, unsure) == float(unsure.high - unsure.low)
    assert rules.said({"a": sure}).startswith("a 1.03 [")


@pytest.mark.parametrize(
    ("shift", "above", "below"),
    [
        (0, "inconclusive", "inconclusive"),
        (9, "supported", "not supported"),
        (-9, "not supported", "supported"),
    ],
)
def test_an_interval_lies_above_a_threshold_or_below_it_or_across(shift, above, below):
    estimate = mean(np.array([-1.0, 0.5, 1.0]) + shift)
    assert rules.against(0.0, estimate) == above
    assert rules.below(0.0, estimate) == below
