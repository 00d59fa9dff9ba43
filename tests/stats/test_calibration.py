"""Verdicts made again under nulls keep their rates, and the machinery sees a rule that does not."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from interp.stats import calibration, simulated
from interp.stats.calibration import NULLS, PLANTED, Stored, outcomes

LAYERS = np.repeat(np.arange(6), 8)
SCREEN, FRESH = np.repeat(np.arange(8), 2), np.repeat(np.arange(12), 6)
REPEATS = 80


@pytest.fixture(scope="module")
def stored():
    """Heads that differ for good, a few of them strongly, as in a real model."""
    random = np.random.default_rng(0)
    own = 0.3 * random.standard_t(3, size=(48, 1))
    own[[5, 30]] = [[-3.0], [2.0]]

    def effects(clusters):
        shared = random.normal(size=(48, clusters.max() + 1))[:, clusters]
        return own * (1 + 0.3 * shared) + 0.2 * random.normal(size=(48, len(clusters)))

    controls = {"other": 0.1 * random.normal(size=(48, 72))}
    discovery = SCREEN < 4
    return Stored(
        effects(SCREEN), discovery, SCREEN, effects(FRESH), controls, FRESH, None, LAYERS, top=6
    )


def rates(counted):
    return {name: counted[name] / sum(counted.values()) for name in ("supported", "not supported")}


@pytest.mark.parametrize("null", NULLS)
def test_under_a_null_verdicts_come_out_at_their_nominal_rate(stored, null):
    found = rates(outcomes(NULLS[null], stored, 0, REPEATS, seed=1))
    print(null, found)
    # Five in a hundred, and what chance adds in so few repeats.
    assert max(found.values()) <= 0.1


def test_what_is_planted_is_found_the_more_surely_the_larger_it_is(stored):
    found = [rates(outcomes(each, stored, 0, 60, seed=2))["supported"] for each in PLANTED.values()]
    print(found)
    assert found[0] <= found[1] + 0.1 <= found[2] + 0.2
    assert found[2] >= 0.9


def test_what_is_planted_is_counted_in_the_noise_that_it_must_stand_out_from(stored):
    """Of many quiet components a few are loud, as neurons are: those are what a choice from noise takes."""
    loud = np.where(np.arange(48) % 16 == 3, 50.0, 1.0)[:, None]
    heavy = replace(stored, screen=stored.screen * loud, fresh=stored.fresh * loud, top=3)
    assert rates(outcomes(PLANTED["planted 2 sd"], heavy, 0, 60, seed=5))["supported"] >= 0.9


def test_planted_noise_has_no_mean_of_its_own_and_keeps_how_components_go_together(stored):
    noise = calibration._noise(stored, np.random.default_rng(0))
    for before, after in ((stored.screen, noise.screen), (stored.fresh, noise.fresh)):
        turned = np.sign(after / (before - _own_mean(stored)))
        np.testing.assert_array_equal(turned, np.broadcast_to(turned[0], turned.shape))
    assert not np.array_equal(np.abs(noise.fresh), np.abs(stored.fresh))


def _own_mean(stored):
    cut = [(stored.screen, SCREEN), (stored.fresh, FRESH)]
    each = [values[:, clusters == one].mean(1) for values, clusters in cut for one in set(clusters)]
    return np.mean(each, axis=0)[:, None]


def test_a_rule_that_measures_where_it_chose_is_caught(stored):
    """Held-out prompts that are the discovery prompts again: noise is supported far too often."""

    def twice(other, random):
        made = calibration._permuted(other, random)
        half = made.screen[:, made.discovery]
        screen = np.concatenate([half, half], axis=1)
        clusters = np.concatenate([SCREEN[made.discovery], SCREEN[made.discovery] + 100])
        same = replace(
            made,
            screen=screen,
            discovery=np.repeat([True, False], half.shape[1]),
            clusters=clusters,
            fresh=np.repeat(half, 3, axis=1)[:, : len(FRESH)],
            controls={},
            fresh_clusters=np.arange(half.shape[1] * 3),
        )
        return same.verdict(same.choice(), 0)

    assert rates(outcomes(twice, stored, 0, 40, seed=3))["supported"] > 0.5


def test_labels_are_permuted_within_their_layer_alone_and_anew_for_every_template(stored):
    order = calibration._within(LAYERS, 20, np.random.default_rng(0))
    np.testing.assert_array_equal(LAYERS[order], np.broadcast_to(LAYERS[:, None], order.shape))
    np.testing.assert_array_equal(np.sort(order, axis=0), np.arange(48)[:, None].repeat(20, 1))
    assert len({tuple(column) for column in order.T}) == 20


def test_repeats_add_up_whatever_blocks_they_are_made_in(stored):
    make = NULLS["permuted labels"]
    whole = outcomes(make, stored, 0, 30, seed=4)
    assert outcomes(make, stored, 0, 11, seed=4) + outcomes(make, stored, 11, 30, seed=4) == whole


def test_too_few_components_are_not_run_and_not_counted_as_anything_else(stored):
    few = replace(stored, strata=np.arange(48))
    assert outcomes(NULLS["random choice"], few, 0, 5, seed=0) == Counter({"not run": 5})


def test_effects_that_count_upwards_alone_are_not_turned_by_the_answers(stored):
    upwards = replace(
        stored, screen=np.abs(stored.screen), fresh=np.abs(stored.fresh), upwards=True
    )
    one = NULLS["answers by prompt"](upwards, np.random.default_rng(5))
    two = NULLS["answers by prompt"](upwards, np.random.default_rng(6))
    assert one == two


def test_simulated_coverage_is_told_for_every_shape_and_size():
    frame = simulated.coverage(40, seed=1)
    assert set(frame["shape"]) == set(simulated.SHAPES)
    assert set(frame["clusters"]) == set(simulated.CLUSTERS)
    assert frame["coverage"].between(0.6, 1).all()
    normal = frame[(frame["shape"] == "normal") & (frame["clusters"] >= 6)]
    assert normal["coverage"].mean() > 0.9


def test_what_simulated_intervals_miss_is_told_of_the_row_that_does_worst():
    rows = [
        ("normal", "equal", 4, 0.5, 0.9),
        ("normal", "equal", 6, 0.90, 0.05),
        ("normal", "equal", 8, 0.92, 0.08),
        ("lognormal", "equal", 12, 0.95, 0.05),
        ("sparse", "equal", 12, 0.1, 0.9),
    ]
    found = pd.DataFrame(rows, columns=["shape", "sizes", "clusters", "coverage", "size"])
    assert simulated.misses(found) == {
        "normal, equal: coverage below what is asked, at worst (6 clusters)": pytest.approx(0.03),
        "normal, equal: size above what is asked, at worst (8 clusters)": pytest.approx(0.02),
        "lognormal, equal: coverage below what is asked, at worst (12 clusters)": 0,
        "lognormal, equal: size above what is asked, at worst (12 clusters)": 0,
    }
    assert simulated.worst_coverage(found) == 0.90
