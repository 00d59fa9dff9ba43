"""Heads chosen on one half of the premises, put to the test on the other: planted truth, noise, moves."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from interp.classifiers import choice, moves
from interp.classifiers.opened import Opened
from interp.classifiers.pairs import Pair
from interp.classifiers.places import find
from interp.components import Head
from interp.study.registry import discover

STUDY = discover(Path(__file__).parent.parent.parent / "experiments").studies["pair_scoring"]
LAYERS = np.repeat(np.arange(4), 8)
CLUSTERS = np.repeat(np.arange(20), 2)


def nothing(rows, pairs):
    return {name: np.zeros((len(rows), len(pairs))) for name in moves.WAYS}


def noise(seed):
    """Effects of pairs whose clusters share what is common to their pairs."""
    random = np.random.default_rng(seed)
    return random.normal(size=(32, 20))[:, CLUSTERS] + random.normal(size=(32, 40))


def planted(seed=0, size=2.0):
    effects = noise(seed)
    effects[[3, 28]] += np.array([[-size], [size]]) * 2
    return effects


def test_heads_that_matter_everywhere_are_supported_whatever_their_direction():
    found = choice.trial(planted(), LAYERS, CLUSTERS, 2, nothing)
    assert sorted(found.rows) == [3, 28]
    assert found.verdict == "supported"
    assert found.ranking.p <= 0.025
    assert float(found.confirmation.chosen.value) == pytest.approx(4, abs=0.6)
    assert found.confirmation.chosen.clusters == 10
    assert (np.unique(CLUSTERS[found.held_out]) % 2 == 1).all()


def test_heads_that_matter_where_they_were_chosen_alone_are_not_supported():
    effects = noise(1)
    effects[[3, 28]] += 8 * (CLUSTERS % 2 == 0)
    found = choice.trial(effects, LAYERS, CLUSTERS, 2, nothing)
    assert sorted(found.rows) == [3, 28]
    assert abs(float(found.confirmation.chosen.value)) < 1
    assert found.verdict != "supported"
    turned = noise(1)
    turned[[3, 28]] += 8 * np.where(CLUSTERS % 2 == 0, 1, -1)
    assert choice.trial(turned, LAYERS, CLUSTERS, 2, nothing).verdict == "not supported"


def test_heads_are_not_supported_where_any_other_direction_does_as_much():
    def as_much(rows, pairs):
        return nothing(rows, pairs) | {moves.WAYS[0]: planted()[rows][:, pairs]}

    found = choice.trial(planted(), LAYERS, CLUSTERS, 2, as_much)
    assert found.verdict == "inconclusive"


def test_on_noise_a_verdict_is_seldom():
    verdicts = [
        choice.trial(noise(seed), LAYERS, CLUSTERS, 5, nothing).verdict for seed in range(60)
    ]
    assert verdicts.count("supported") <= 4
    assert verdicts.count("not supported") <= 8


def test_sixteen_clusters_are_enough_and_fifteen_are_not():
    assert choice.enough(np.arange(16))
    assert not choice.enough(np.arange(15))
    assert not choice.enough(np.repeat(np.arange(15), 4))


def test_moves_are_as_far_as_the_mean_and_each_is_a_run_of_its_own(classifiers, some):
    classifier = classifiers("bert")
    readings = [classifier.read(pair) for pair in some]
    places = find(classifier, readings[0])
    mean = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    clusters = np.array([0, 0, 1, 2])
    found = moves.moved(classifier, places, readings, clusters, mean, [Head(1, 2), Head(2, 0)])
    assert list(found) == list(moves.WAYS)
    again = moves.moved(classifier, places, readings, clusters, mean, [Head(2, 0)])
    for way in moves.WAYS:
        assert found[way].shape == (2, 4)
        assert found[way][1].tolist() == pytest.approx(again[way][0].tolist())
        assert np.abs(found[way]).min() > 0

    # By hand: the value read by the projection lies as far from z as the mean does.
    seen = []
    projection = places.attention[1].module
    handle = projection.register_forward_hook(lambda m, given, out: seen.append(given[0].detach()))
    moves.moved(classifier, places, readings[:1], clusters[:1], mean, [Head(1, 2)])
    handle.remove()
    z, both = seen[0][0, :, 12:18], seen[-1][:, :, 12:18]
    far = (mean[1, 2] - z).norm(dim=-1)
    torch.testing.assert_close((both - z).norm(dim=-1), far.expand(2, -1))
    others = [*range(12), *range(18, 24)]
    torch.testing.assert_close(seen[-1][0][:, others], seen[0][0][:, others])
    assert (both[0] - both[1]).abs().max() > 0


def test_a_trial_of_a_model_takes_its_halves_from_the_clusters(classifiers):
    nouns = ("man", "woman", "boy", "girl", "horse", "bridge", "book", "bar")
    chosen = [
        Pair(f"{a} {noun} walks on {noun} {a}", f"{noun} sits {a}")
        for noun in nouns
        for a in ("a", "the")
    ]
    opened = Opened(classifiers("bert"), chosen, lambda given, what: iter(given))
    assert choice.enough(opened.clusters)
    found = opened.trial(3)
    assert found.confirmation.chosen.clusters == 8
    assert set(found.confirmation.controls) == set(moves.WAYS)
    effects = opened.removed["mean"]
    half = np.arange(16) % 2 == 0
    expected = np.argsort(-np.abs(effects[:, half].mean(-1)), kind="stable")[:3]
    assert found.rows.tolist() == expected.tolist()
    assert found.effects == pytest.approx(effects[expected])
    assert found.held_out.tolist() == (~half).tolist()

    look = sys.modules[STUDY.load().__module__].WAYS["heads on a premise held out"]
    shown = look(opened, 3)
    words, table = shown.controls
    assert shown.verdict == found.verdict
    assert all(name in words.text for name in ("Null", "Population", "Power"))
    measured = table.frame.set_index("heads")
    chosen = measured.loc["chosen on the other premises"]
    assert chosen.effect == pytest.approx(float(found.confirmation.chosen.value))
    assert chosen.ci_low < chosen.effect < chosen.ci_high
    assert {f"chosen − {way}" for way in moves.WAYS} < set(measured.index)

    few = look(Opened(classifiers("bert"), chosen_few(), lambda given, what: iter(given)), 3)
    assert few.verdict == "inconclusive"
    assert few.controls[0].frame[["ci_low", "ci_high"]].isna().all(axis=None)
    assert "16 are needed" in few.not_run[0].reason


def chosen_few():
    return [Pair("a man walks", "a boy sits"), Pair("a man walks", "red"), Pair("a horse", "blue")]
