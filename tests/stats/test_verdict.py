"""Verdicts are calibrated: at their nominal rate on noise, and nearly always on a planted truth."""

from collections import Counter

import numpy as np
import pytest

from interp.stats.selection import directions, rank_among_random
from interp.stats.verdict import (
    LEAST_CONFIRMING,
    confirm,
    decide,
    picked_at_random,
    smallest_effect,
    together,
)

LAYERS = np.repeat(np.arange(8), 8)
SCREEN, FRESH = np.repeat(np.arange(8), 2), np.repeat(np.arange(12), 6)
DISCOVERY = SCREEN < 4
TOP = 6


class World:
    """Components with effects of their own on every template; what is planted comes on top."""

    def __init__(self, seed, planted=0.0, on_fresh=True, lasting=0.5):
        random = np.random.default_rng(seed)
        own = lasting * random.standard_t(4, size=(64, 1))
        self.screen = (
            own + random.normal(size=(64, 8))[:, SCREEN] + 0.3 * random.normal(size=(64, 16))
        )
        self.fresh = (
            own + random.normal(size=(64, 12))[:, FRESH] + 0.3 * random.normal(size=(64, 72))
        )
        self.control = 0.3 * random.normal(size=(64, 72))
        self.planted = random.permutation(64)[:TOP]
        self.screen[self.planted] += planted
        self.fresh[self.planted] += planted * on_fresh
        self.random = random.permutation(64)[:TOP]

    def largest(self):
        return np.argsort(-np.abs(self.screen[:, DISCOVERY].mean(-1)))[:TOP]

    def verdict(self, chosen, **changed):
        given = {"screen": self.screen, "fresh": self.fresh, "control": self.control} | changed
        ranking = rank_among_random(given["screen"], DISCOVERY, chosen, LAYERS, SCREEN)
        signs = directions(given["screen"], DISCOVERY, SCREEN)[chosen]
        found = confirm(given["fresh"][chosen], signs, {"other": given["control"][chosen]}, FRESH)
        return decide(ranking, found)


def rates(verdicts):
    counted = Counter(verdicts)
    return {name: counted[name] / len(verdicts) for name in ("supported", "not supported")}


def test_a_choice_at_random_is_supported_and_not_supported_at_most_1_time_in_20():
    worlds = [World(seed) for seed in range(120)]
    found = rates([world.verdict(world.random) for world in worlds])
    print(found)
    # Five in a hundred, and what chance adds in so few.
    assert max(found.values()) <= 0.1


def test_effects_of_discovery_templates_alone_are_not_supported():
    worlds = [World(seed, planted=3.0, on_fresh=False, lasting=0.0) for seed in range(60)]
    for world in worlds:
        # Planted where they were chosen and nowhere else.
        world.screen[world.planted[:, None], np.flatnonzero(~DISCOVERY)] -= 3.0
    found = rates([world.verdict(world.largest()) for world in worlds])
    assert found["supported"] <= 0.05


def test_planted_effects_of_two_template_deviations_are_nearly_always_supported():
    worlds = [World(seed, planted=2.0, lasting=0.0) for seed in range(60)]
    found = rates([world.verdict(world.largest()) for world in worlds])
    print(found)
    assert found["supported"] >= 0.95


def test_a_control_that_does_as_much_takes_the_support_away():
    worlds = [World(seed, planted=2.0, lasting=0.0) for seed in range(40)]
    found = rates([world.verdict(world.largest(), control=world.fresh) for world in worlds])
    assert found["supported"] == 0


def test_a_sign_that_turns_round_is_not_supported():
    worlds = [World(seed, planted=2.0, lasting=0.0) for seed in range(40)]
    found = rates([world.verdict(world.largest(), fresh=-world.fresh) for world in worlds])
    assert found["not supported"] >= 0.95


def test_ignoring_clusters_would_support_noise():
    """Whole templates that go one way: taken for independent prompts they are significant."""
    noise = np.random.default_rng(0).normal(size=(400, 12))[:, FRESH]
    ones = np.ones(1)
    by_template = [confirm(row[None], ones, {}, FRESH).chosen.low > 0 for row in noise]
    by_prompt = [confirm(row[None], ones, {}, np.arange(72)).chosen.low > 0 for row in noise]
    assert np.mean(by_template) <= 0.04
    assert np.mean(by_prompt) > 0.15


def test_no_rank_and_too_few_clusters_are_inconclusive_whatever_the_effect():
    world = World(0, planted=9.0)
    chosen = world.largest()
    every = np.arange(64)
    unranked = rank_among_random(world.screen, DISCOVERY, chosen, every, SCREEN)
    signs = directions(world.screen, DISCOVERY, SCREEN)[chosen]
    found = confirm(world.fresh[chosen], signs, {}, FRESH)
    assert decide(unranked, found) == "inconclusive"
    ranking = rank_among_random(world.screen, DISCOVERY, chosen, LAYERS, SCREEN)
    assert decide(ranking, found) == "supported"
    few = FRESH < LEAST_CONFIRMING - 1
    assert (
        decide(ranking, confirm(world.fresh[chosen][:, few], signs, {}, FRESH[few]))
        == "inconclusive"
    )


def test_re_choices_pass_about_as_often_as_a_choice_at_random_is_supported():
    rates_ = []
    for seed in range(20):
        world = World(seed)
        chosen = world.largest()
        ranking = rank_among_random(world.screen, DISCOVERY, chosen, LAYERS, SCREEN)
        rates_.append(picked_at_random(world.screen, DISCOVERY, chosen, LAYERS, SCREEN, ranking))
    print(f"{np.mean(rates_):.3f}")
    assert 0 < np.mean(rates_) < 0.04


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_the_smallest_effect_is_found_about_8_times_in_10(spread):
    random = np.random.default_rng(4)
    least = np.median([
        smallest_effect(confirm(spread * random.normal(size=(1, 12)), np.ones(1), {}, np.arange(12)))
        for _ in range(200)
    ])  # fmt: skip
    low = [
        confirm(
            least + spread * random.normal(size=(1, 12)), np.ones(1), {}, np.arange(12)
        ).chosen.low
        for _ in range(400)
    ]
    print(f"{np.mean(np.array(low) > 0):.2f}")
    assert 0.7 < np.mean(np.array(low) > 0) < 0.95


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "inconclusive"], "inconclusive"),
        (["inconclusive", "not supported", "supported"], "not supported"),
        ([], "inconclusive"),
    ],
)
def test_conditions_that_all_have_to_hold_are_as_good_as_the_worst(found, expected):
    assert together(found) == expected
