"""The judge of circuits on stored values: seldom wrong under its nulls, and right of what is planted."""

import numpy as np
import pytest

from interp.circuits import calibration
from interp.circuits.calibration import NULLS, PLANTED, RIGHT, StoredCircuit
from interp.stats.calibration import outcomes

REPEATS = 40


@pytest.fixture(scope="module")
def stored():
    """A circuit that does .95 of the model's work, give or take, and random ones that do a tenth."""
    random = np.random.default_rng(0)
    clusters = np.repeat(np.arange(12), 6)
    of_template = random.normal(size=12)[clusters]
    empty = random.normal(scale=0.3, size=72)
    gap = 3 + of_template + random.normal(scale=0.3, size=72)
    noise = random.normal(scale=0.2, size=12)[clusters] + random.normal(scale=0.2, size=72)
    others = random.normal(0.1, 0.05, size=(79, 1)) * gap + random.normal(scale=0.1, size=(79, 72))
    return StoredCircuit(empty + 0.95 * gap + noise, empty + others, empty + gap, empty, clusters)


@pytest.mark.parametrize("null", NULLS)
def test_neither_verdict_is_frequent_where_it_is_not_true(stored, null):
    found = outcomes(NULLS[null], stored, 0, REPEATS, seed=1)
    # One in twenty, and what chance adds to that in so few repeats.
    most = 0.05 * REPEATS + 2 * np.sqrt(0.05 * REPEATS)
    assert found["supported"] <= most
    assert found["not supported"] <= most


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found(stored, what):
    found = outcomes(PLANTED[what], stored, 0, 20, seed=2)
    assert found[RIGHT[what]] == 20


def test_a_circuit_that_does_a_share_does_it_in_the_mean_of_all_turnings(stored):
    random = np.random.default_rng(3)
    made = [stored.doing(0.5, random) for _ in range(200)]
    moved = np.mean([each.chosen for each in made], 0) - stored.empty
    assert moved.mean() / stored.gap.mean() == pytest.approx(0.5, abs=0.02)


def test_answers_change_places_for_circuits_and_model_alike(stored):
    turned = stored.turned(stored.clusters, np.random.default_rng(4))
    signs = turned.whole / stored.whole
    assert set(np.round(signs, 9)) == {-1, 1}
    for one, other in zip(turned.arrays(), stored.arrays(), strict=True):
        np.testing.assert_allclose(one, signs * other)
    assert all(len(set(signs[stored.clusters == each].round(9))) == 1 for each in range(12))


def test_a_random_circuit_in_the_place_of_the_chosen_one_is_not_among_its_controls(stored):
    made = stored.exchanged(np.random.default_rng(5))
    assert len(made.random) == len(stored.random) - 1
    assert not (made.random == made.chosen).all(1).any()
    assert (stored.random == made.chosen).all(1).sum() == 1


@pytest.mark.slow
def test_what_is_stored_is_what_the_study_chooses():
    import interp
    from interp import tasks

    model = interp.load("books-gpt2")
    task = tasks.build("gendered_pronoun", model.tokenizer)
    found = calibration.stored(model, task)
    assert found.random.shape == (calibration.RANDOM, task.confirmation.n)
    share = (found.chosen - found.empty).mean() / found.gap.mean()
    assert 0.8 < share < 1.2
