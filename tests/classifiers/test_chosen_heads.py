"""Heads chosen on one half of the premises, put to the test on the other: halves, noise, ablate."""

import numpy as np
import pytest
import torch

from interp.classifiers import ablate
from interp.classifiers.opened import Opened
from interp.classifiers.pairs import Pair, Pairs
from interp.classifiers.places import find
from interp.components import Head
from interp.effects import Effects
from interp.errors import NotApplicable
from interp.views.pairs import KINDS

HEADS = [Head(layer, head) for layer in range(4) for head in range(8)]


def opened(classifier, chosen, seed=0):
    return Opened(classifier, chosen, lambda given, what: iter(given), seed)


def alike(n):
    """Pairs of which two and two share a premise."""
    return [Pair(f"premise {i // 2}", f"hypothesis {i}") for i in range(n)]


def test_every_other_cluster_of_pairs_is_held_out_and_none_is_in_both_halves():
    shared = [*alike(8), Pair("another", "hypothesis 0"), Pair("another", "hypothesis 7")]
    pairs = Pairs.of(shared)
    assert pairs.clusters.tolist() == [0, 0, 1, 1, 2, 2, 0, 0, 0, 0]
    assert pairs.where(half="held_out").tolist() == [i in (2, 3) for i in range(10)]
    assert pairs.confirmation.n == 2
    assert pairs.confirmation.clusters.tolist() == [0, 0]
    with pytest.raises(NotApplicable, match="one is given"):
        _ = Pairs.of(alike(2)).confirmation


def judged(values, pairs, top=2, elsewhere=0.0):
    screen = Effects(values, HEADS, pairs, "log-odds")
    chosen = screen.select(top)
    fresh = screen.only(chosen.rows).where(chosen.held_out)
    control = Effects(elsewhere * fresh.values, chosen.components, fresh.task)
    return chosen.test(fresh, {ablate.WAYS[0]: control})


def noise(seed, pairs):
    """Effects of pairs whose clusters share what is common to their pairs."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(32, pairs.clusters.max() + 1))[:, pairs.clusters]
    return shared + random.normal(size=(32, pairs.n))


def test_heads_that_matter_on_all_premises_are_supported_and_those_of_one_half_are_not():
    pairs = Pairs.of(alike(40))
    discovery = pairs.where(half="discovery")
    sizes = np.array([[-4.0], [4.0]])
    for seed, where, verdicts in (
        (0, np.ones(40), {"supported"}),
        (1, 2.0 * discovery, {"inconclusive", "not supported"}),
        (1, np.where(discovery, 2, -2), {"not supported"}),
    ):
        values = noise(seed, pairs)
        values[[3, 28]] += sizes * where
        found = judged(values, pairs)
        assert set(found.selection.components) == {Head(0, 3), Head(3, 4)}
        assert found.confirmation.chosen.clusters == 10
        assert found.verdict in verdicts
    values = noise(0, pairs)
    values[[3, 28]] += sizes
    assert judged(values, pairs, elsewhere=1.0).verdict == "inconclusive"


def test_on_noise_a_verdict_is_seldom():
    pairs = Pairs.of(alike(40))
    verdicts = [judged(noise(seed, pairs), pairs, 5).verdict for seed in range(60)]
    assert verdicts.count("supported") <= 4
    assert verdicts.count("not supported") <= 8


def test_moves_are_as_far_as_the_mean_and_each_is_a_run_of_its_own(classifiers, some):
    classifier = classifiers("bert")
    readings = [classifier.read(pair) for pair in some]
    places = find(classifier, readings[0])
    mean = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    clusters = np.array([0, 0, 1, 2])
    found = ablate.moved(classifier, places, readings, clusters, mean, [Head(1, 2), Head(2, 0)])
    assert list(found) == list(ablate.WAYS)
    again = ablate.moved(classifier, places, readings, clusters, mean, [Head(2, 0)])
    for way in ablate.WAYS:
        assert found[way].shape == (2, 4)
        assert found[way][1].tolist() == pytest.approx(again[way][0].tolist())
        assert np.abs(found[way]).min() > 0

    # By hand: the value read by the projection lies as far from z as the mean does.
    seen = []
    projection = places.attention[1].module
    handle = projection.register_forward_hook(lambda m, given, out: seen.append(given[0].detach()))
    ablate.moved(classifier, places, readings[:1], clusters[:1], mean, [Head(1, 2)])
    handle.remove()
    z, both = seen[0][0, :, 12:18], seen[-1][:, :, 12:18]
    far = (mean[1, 2] - z).norm(dim=-1)
    torch.testing.assert_close((both - z).norm(dim=-1), far.expand(2, -1))
    others = [*range(12), *range(18, 24)]
    torch.testing.assert_close(seen[-1][0][:, others], seen[0][0][:, others])
    assert (both[0] - both[1]).abs().max() > 0


def test_heads_of_a_model_are_chosen_and_measured_on_halves_of_its_clusters(classifiers):
    nouns = ("man", "woman", "boy", "girl", "horse", "bridge", "book", "bar")
    many = [
        Pair(f"{a} {noun} walks on {noun} {a}", f"{noun} sits {a}")
        for noun in nouns
        for a in ("a", "the")
    ]
    made = opened(classifiers("bert"), many)
    found = made.test(3)
    assert found.confirmation.chosen.clusters == 8
    assert set(found.confirmation.controls) == set(ablate.WAYS)
    values = made.removed["mean"].values
    half = np.arange(16) % 2 == 0
    expected = np.argsort(-np.abs(values[:, half].mean(-1)), kind="stable")[:3]
    assert found.selection.rows.tolist() == expected.tolist()
    assert found.fresh.values == pytest.approx(values[expected][:, ~half])
    # The controls are of the held-out pairs, each beside its own.
    readings = [reading for reading, there in zip(made.readings, ~half, strict=True) if there]
    given = made.classifier, made.places, readings, np.arange(8), made.mean
    moved = ablate.moved(*given, found.selection.components)
    signs = found.selection.signs[expected][:, None]
    for way in ablate.WAYS:
        value = float((signs * moved[way]).mean())
        assert float(found.confirmation.controls[way].value) == pytest.approx(value)

    shown = KINDS["heads on a premise held out"](made, 3)
    words, table = shown.controls
    assert shown.verdict == found.verdict
    assert all(name in words.text for name in ("Null", "Population", "Power"))
    assert "pairs like the 8 held-out ones" in words.text
    measured = table.frame.set_index("heads")
    chosen = measured.loc["chosen on the other premises"]
    assert chosen.effect == pytest.approx(float(found.confirmation.chosen.value))
    assert chosen.ci_low < chosen.effect < chosen.ci_high
    assert {f"chosen − {way}" for way in ablate.WAYS} < set(measured.index)


def test_few_premises_give_estimates_and_neither_interval_nor_verdict(classifiers):
    pairs = [Pair("a man walks", "a boy sits"), Pair("a man walks", "red"), Pair("a horse", "blue")]
    few = KINDS["heads on a premise held out"](opened(classifiers("bert"), pairs), 3)
    assert few.verdict == "inconclusive"
    words, table = few.controls
    assert "neither" in words.text or "too few" in words.text
    assert table.frame[["ci_low", "ci_high"]].isna().all(axis=None)
    assert table.frame["effect"].notna().all()
    assert few.headlines[0].low is None
    assert "16 are needed" in few.not_run[-1].reason
