"""The choice at random: a chosen set ranks among random ones, uniformly where it was chosen at random."""

from itertools import combinations

import numpy as np
import pytest

from interp.errors import UsageError
from interp.stats.selection import (
    LEAST_SETS,
    count_sets,
    random_sets,
    rank_among_random,
    signed_means,
)

LAYERS = np.repeat(np.arange(6), 8)
CLUSTERS = np.repeat(np.arange(8), 2)
DISCOVERY = CLUSTERS < 4


def screen(seed, planted=(), size=2.0):
    """Components that differ for good, as heads do, and the planted ones with an effect of this size."""
    random = np.random.default_rng(seed)
    own = random.standard_t(3, size=(48, 1)) * (1 + LAYERS[:, None])
    effects = 0.2 * own + 0.5 * random.normal(size=(48, 8))[:, CLUSTERS]
    effects[list(planted)] += size
    return effects


def test_a_set_picked_at_random_ranks_uniformly_though_components_differ_for_good():
    random = np.random.default_rng(1)
    p = np.array([
        rank_among_random(
            screen(seed), DISCOVERY, random.permutation(48)[:6], LAYERS, CLUSTERS, draws=199, seed=seed
        ).p
        for seed in range(250)
    ])  # fmt: skip
    print(f"p ≤ .025: {np.mean(p <= 0.025):.3f}, p ≥ .975: {np.mean(p >= 0.975):.3f}")
    assert np.mean(p <= 0.025) <= 0.05
    assert np.mean(p >= 0.975) <= 0.05
    # The less favourable of two ranks is no smaller than either.
    assert np.median(p) > 0.4


def test_a_planted_set_is_among_the_first():
    planted = np.array([3, 12, 40])
    found = rank_among_random(screen(0, planted, 6.0), DISCOVERY, planted, LAYERS, CLUSTERS)
    assert found.p <= 0.01
    assert found.value > found.high
    # The weakest of each of these layers are the last.
    weakest = np.array([int(np.argmin(signed_means(screen(0), DISCOVERY, CLUSTERS)[:8]))])
    assert rank_among_random(screen(0), DISCOVERY, weakest, LAYERS, CLUSTERS).sets == 8


def test_random_sets_have_as_many_of_each_layer_and_none_twice():
    chosen = np.array([0, 1, 9, 47])
    sets = random_sets(chosen, LAYERS, 500, seed=3)
    assert sets.shape == (500, 4)
    for row in sets:
        assert len(set(row)) == 4
        np.testing.assert_array_equal(np.sort(LAYERS[row]), [0, 0, 1, 5])
    assert {int(row) for row in sets.ravel()} == {*range(16), *range(40, 48)}
    np.testing.assert_array_equal(sets, random_sets(chosen, LAYERS, 500, seed=3))
    assert count_sets(chosen, LAYERS) == 28 * 8 * 8


def test_few_sets_are_all_tried_and_p_is_exact():
    chosen = np.array([0, 1, 2])
    effects = screen(5)
    found = rank_among_random(effects, DISCOVERY, chosen, LAYERS, CLUSTERS)
    held_out = signed_means(effects, DISCOVERY, CLUSTERS)
    every = [held_out[list(each)].mean() for each in combinations(range(8), 3)]
    assert (found.sets, found.draws) == (56, 55)
    np.testing.assert_allclose(np.sort(found.null), np.sort(every))
    assert found.p >= np.mean(np.array(every) >= held_out[chosen].mean() - 1e-12) - 1e-12


def test_a_direction_that_the_whole_layer_has_does_not_favour_the_chosen():
    """Every template has its effect in another head of the layer: whoever is chosen knows the layer's
    direction, and random heads do not."""
    p = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        effects = 0.1 * random.normal(size=(48, 8))
        effects[random.integers(0, 8, 8), np.arange(8)] -= 3.0
        effects = effects[:, CLUSTERS]
        chosen = np.argsort(-np.abs(effects[:, DISCOVERY].mean(-1)))[:4]
        p.append(rank_among_random(effects, DISCOVERY, chosen, LAYERS, CLUSTERS, draws=199).p)
    print(f"{np.mean(np.array(p) <= 0.025):.3f}")
    assert np.mean(np.array(p) <= 0.025) <= 0.06


def test_under_forty_sets_there_is_no_rank_but_a_reason():
    for chosen, sets in (([0], 8), ([0, 1], 28), (list(range(8)), 1)):
        found = rank_among_random(screen(0), DISCOVERY, np.array(chosen), LAYERS, CLUSTERS)
        assert found.sets == sets < LEAST_SETS
        assert not found.ran
        assert np.isnan(found.p)
        assert str(sets) in found.reason


def test_directions_come_from_discovery_and_values_from_the_held_out_half():
    effects = np.zeros((48, 16))
    effects[:, DISCOVERY] = -1.0
    effects[:, ~DISCOVERY] = 3.0
    np.testing.assert_array_equal(signed_means(effects, DISCOVERY, CLUSTERS), -3.0)
    effects[:, ~DISCOVERY] = -3.0
    np.testing.assert_array_equal(signed_means(effects, DISCOVERY, CLUSTERS), 3.0)


@pytest.mark.parametrize(
    ("discovery", "chosen", "words"),
    [
        (np.ones(16, dtype=bool), [0], "one part"),
        (np.zeros(16, dtype=bool), [0], "one part"),
        (DISCOVERY, [], "at least one component"),
        (DISCOVERY, [3, 3], "none twice"),
    ],
)
def test_what_cannot_be_ranked_is_refused(discovery, chosen, words):
    with pytest.raises(UsageError, match=words):
        rank_among_random(screen(0), discovery, np.array(chosen, dtype=int), LAYERS, CLUSTERS)
