"""The rule of a verdict line by line, and what goes into it as a loop says it."""

import numpy as np
import pytest

from interp.stats import cluster_means, mean
from interp.stats.effects import Estimate
from interp.stats.selection import Ranking, directions, random_sets, rank_among_random
from interp.stats.verdict import Confirmation, confirm, decide, picked_at_random

LAYERS = np.repeat(np.arange(4), 8)
CLUSTERS = np.repeat(np.arange(8), 2)
DISCOVERY = CLUSTERS < 4


def estimate(low, high, clusters=12):
    middle = np.array((low + high) / 2)
    return Estimate(
        middle, np.array(float(low)), np.array(float(high)), 2 * clusters, clusters, "by hand"
    )


def verdict(p, chosen, *differences, held_out=1.0, sets=100, clusters=12):
    ranking = Ranking(0.0, p, 999, sets, np.zeros(1), estimate(held_out - 1, held_out))
    theirs = {str(number): estimate(*ends) for number, ends in enumerate(differences)}
    return decide(ranking, Confirmation(estimate(*chosen, clusters), theirs, theirs))


def test_supported_needs_rank_and_confirmation_and_every_difference():
    assert verdict(0.02, (1, 2), (0.5, 1), (0.1, 1)) == "supported"
    assert verdict(0.03, (1, 2), (0.5, 1), (0.1, 1)) == "inconclusive"
    assert verdict(0.02, (-1, 2), (0.5, 1), (0.1, 1)) == "inconclusive"
    assert verdict(0.02, (1, 2), (0.5, 1), (-0.1, 1)) == "inconclusive"


def test_not_supported_is_a_confirmation_or_a_last_rank_with_an_interval_below_zero():
    assert verdict(0.02, (-2, -1)) == "not supported"
    assert verdict(0.98, (-2, 1), held_out=-0.1) == "not supported"
    assert verdict(0.98, (-2, 1), held_out=0.1) == "inconclusive"
    assert verdict(0.97, (-2, 1), held_out=-0.1) == "inconclusive"
    # What the fresh prompts do not bear out is not said of the few of the screen.
    assert verdict(0.98, (-1, 2), held_out=-0.1) == "inconclusive"


@pytest.mark.parametrize("few", [{"sets": 39}, {"clusters": 7}])
def test_too_few_sets_or_clusters_decide_nothing(few):
    for ends in ((1, 2), (-2, -1)):
        assert verdict(0.01, ends, **few) == "inconclusive"


def test_a_confirmation_is_the_signed_mean_with_intervals_over_clusters_and_items():
    random = np.random.default_rng(0)
    clusters, items = np.repeat(np.arange(12), 6), np.tile(np.arange(9), 8)
    shared = random.normal(size=(2, 12))[:, clusters] + random.normal(size=(2, 9))[:, items]
    effects = shared + 0.1 * random.normal(size=(2, 72))
    control = random.normal(size=(2, 72))
    found = confirm(effects, np.array([-1.0, 1.0]), {"other": control}, clusters, items, seed=3)
    ours, theirs = (effects[1] - effects[0]) / 2, (control[1] - control[0]) / 2
    for each, values in (
        (found.chosen, ours),
        (found.controls["other"], theirs),
        (found.differences["other"], ours - theirs),
    ):
        expected = mean(values, clusters, items, seed=3)
        assert float(each.value) == pytest.approx(values.mean())
        np.testing.assert_allclose([each.low, each.high], [expected.low, expected.high])
    # Without either, the interval would be another one.
    for less in (mean(ours, clusters, seed=3), mean(ours, seed=3)):
        assert abs(less.low - found.chosen.low) > 1e-3
    without = mean(ours - theirs, seed=3)
    assert abs(without.low - found.differences["other"].low) > 1e-3


def screen(seed):
    random = np.random.default_rng(seed)
    own = random.standard_t(3, size=(32, 1))
    return own + random.normal(size=(32, 8))[:, CLUSTERS] + 0.2 * random.normal(size=(32, 16))


@pytest.mark.parametrize("seed", range(4))
def test_a_rank_counts_the_random_sets_that_reach_the_chosen_on_held_out_prompts(seed):
    effects, chosen, draws = screen(seed), np.array([2, 11, 29]), 199
    found = rank_among_random(effects, DISCOVERY, chosen, LAYERS, CLUSTERS, draws=draws, seed=seed)
    signs = np.sign(effects[:, DISCOVERY].mean(-1))
    held_out = effects[:, ~DISCOVERY].mean(-1)
    value = np.mean([signs[row] * held_out[row] for row in chosen])
    own, theirs = [], []
    for drawn in random_sets(chosen, LAYERS, draws, seed):
        own.append(np.mean([signs[row] * held_out[row] for row in drawn]))
        pairs = zip(drawn, chosen, strict=True)
        theirs.append(np.mean([signs[of] * held_out[row] for row, of in pairs]))
    ranks = [(1 + sum(each >= value for each in null)) / 200 for null in (own, theirs)]
    assert found.value == pytest.approx(value)
    np.testing.assert_allclose(found.null, own)
    assert found.p == pytest.approx(max(ranks))
    assert ranks[0] != ranks[1]
    ours = np.mean([signs[row] * effects[row][~DISCOVERY] for row in chosen], axis=0)
    expected = mean(ours, CLUSTERS[~DISCOVERY], seed=seed)
    ends = [found.held_out.low, found.held_out.high]
    np.testing.assert_allclose(ends, [expected.low, expected.high])


def test_few_sets_give_the_share_of_all_of_them():
    effects, chosen = screen(8), np.array([2, 11])
    found = rank_among_random(effects, DISCOVERY, chosen, LAYERS, CLUSTERS)
    signs = directions(effects, DISCOVERY, CLUSTERS)
    signed = signs * effects[:, ~DISCOVERY].mean(-1)
    every = [(signed[one] + signed[other]) / 2 for one in range(8) for other in range(8, 16)]
    assert found.p >= np.mean(np.array(every) >= signed[chosen].mean() - 1e-12) > 0


def test_re_choices_pass_by_rank_and_by_an_interval_over_held_out_clusters():
    # One template in four goes far, so that prompts taken for independent would say more.
    effects, chosen = screen(5), np.array([2, 11, 29])
    effects[:, CLUSTERS == 6] *= 3
    given = effects, DISCOVERY, chosen, LAYERS, CLUSTERS
    ranking = rank_among_random(*given, draws=199)
    signs = directions(effects, DISCOVERY, CLUSTERS)
    held_out = cluster_means(effects[:, ~DISCOVERY], CLUSTERS[~DISCOVERY]).mean(-1)
    passed = {"clusters": 0, "prompts": 0, "discovery": 0}
    for drawn in random_sets(chosen, LAYERS, 1000, 1):
        value = (signs * held_out)[drawn].mean()
        if (1 + (ranking.null >= value).sum()) / 200 > 0.025:
            continue
        each = (signs[:, None] * effects)[drawn].mean(0)
        passed["clusters"] += bool(mean(each[~DISCOVERY], CLUSTERS[~DISCOVERY]).low > 0)
        passed["prompts"] += bool(mean(each[~DISCOVERY]).low > 0)
        passed["discovery"] += bool(mean(each[DISCOVERY], CLUSTERS[DISCOVERY]).low > 0)
    assert picked_at_random(*given, ranking) == passed["clusters"] / 1000
    assert passed["clusters"] not in (passed["prompts"], passed["discovery"]), passed
