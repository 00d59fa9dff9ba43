"""What grows in a training: the circuit that is picked, its course and its composition, by hand."""

import numpy as np
import pytest
import torch

from interp.components import Head
from interp.methods.induction import Scores
from interp.training import dynamics
from interp.training.dynamics import Circuit, Moment
from interp.views import induction as views

CIRCUIT = Circuit(Head(1, 2), Head(0, 1))


def moment(step, *, strong, loss=1.0, composition=0.1):
    """Two layers of three heads on four sequences: the circuit's heads score `strong`, another induction
    head nothing but on the last two sequences, all others 0.1."""
    scores = {name: torch.full((2, 3, 4), 0.1) for name in ("induction", "previous_token")}
    scores["induction"][1, 2] = scores["previous_token"][0, 1] = strong
    scores["induction"][1, 0] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    pairs = torch.full((2, 3, 2, 3), torch.nan)
    pairs[0, :, 1] = 0.05
    pairs[0, 1, 1, 2] = composition
    first = np.full(4, 3.0)
    chance = {name: torch.tensor([0.2, 0.25]) for name in scores}
    return Moment(
        step, first, first - loss, Scores(scores, chance), pairs, torch.tensor([0.01, 0.03, 0.08])
    )


MOMENTS = [moment(0, strong=0.1, loss=0.0), moment(5, strong=0.45), moment(9, strong=0.4, loss=2.0)]


def test_the_circuit_is_picked_on_the_first_half_of_the_sequences_alone():
    last = MOMENTS[-1]
    assert dynamics.circuit(last, 2) == CIRCUIT
    # On all sequences the head that scores on the other half would be the best.
    assert dynamics.circuit(last, 4).follower == Head(1, 0)


def test_a_course_has_the_circuits_own_scores_and_the_gain():
    course = dynamics.course(MOMENTS, CIRCUIT)
    assert course.step.tolist() == [0, 5, 9]
    assert course.gained.tolist() == pytest.approx([0, 1, 2])
    assert (course["first"] - course.second).tolist() == pytest.approx([0, 1, 2])
    assert course.induction.tolist() == pytest.approx([0.1, 0.45, 0.4])
    assert course.previous_token.tolist() == pytest.approx([0.1, 0.45, 0.4])
    assert course.composition.tolist() == pytest.approx([0.1] * 3)


def test_every_head_has_a_row_a_moment_and_the_control_its_best():
    heads = dynamics.every_head(MOMENTS).set_index(["step", "layer", "head"])
    assert len(heads) == 3 * 2 * 3
    assert heads.induction[9, 1, 2] == pytest.approx(0.4)
    assert heads.induction[9, 1, 0] == pytest.approx(0.5)
    assert heads.previous_token[5, 0, 1] == pytest.approx(0.45)
    best = dynamics.best_heads(MOMENTS)
    assert best.best_induction.tolist() == pytest.approx([0.5] * 3)
    assert best.chance.tolist() == [0.25] * 3


def test_a_pair_composes_beside_those_of_the_two_layers():
    [row] = dynamics.composed(MOMENTS[-1:], CIRCUIT).itertuples()
    assert (row.the_pair, row.median_pair) == pytest.approx((0.1, 0.05))
    assert row.pairs_below == 8
    assert (row.median_when_turned, row.highest_when_turned) == pytest.approx((0.03, 0.08))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.1, 0.1, 0.12, 0.4, 0.9, 1.0], (2, 5)), ([0, 1], (0, 1)), ([0.5, 0.5], (0, 0))],
)
def test_most_of_a_rise_lies_between_a_tenth_and_nine_tenths_of_the_way(values, expected):
    assert dynamics.rise(values) == expected


def test_a_page_shows_every_step_and_head_and_both_ends():
    loss, attended = views.learning(MOMENTS, CIRCUIT)
    assert [series.name for series in loss.series] == ["first copy", "second copy"]
    lines = {series.name: list(series.y) for series in attended.series}
    assert len(lines) == 6
    assert lines["induction, L1H2"] == pytest.approx([0.1, 0.45, 0.4])
    assert lines["previous token, L0H1"] == pytest.approx([0.1, 0.45, 0.4])
    maps = {each.title: each.values for each in views.before_and_after(MOMENTS).heatmaps}
    assert list(maps)[:2] == ["Induction, before", "Induction, after"]
    assert maps["Previous token, after"][0, 1] == pytest.approx(0.4)
    assert views.composition(MOMENTS, CIRCUIT).frame.step.tolist() == [0, 9]
