"""Statistics keep their promises: coverage and error rates by simulation, values by comparison."""

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from interp import stats
from interp.errors import UsageError

REPEATS = 1000


def _clustered(random, clusters, each, shape="normal"):
    """REPEATS rows of effects whose true mean is zero, and the prompts' clusters."""
    if shape == "normal":
        shared = random.normal(size=(REPEATS, clusters, 1))
    else:
        shared = random.exponential(size=(REPEATS, clusters, 1)) - 1
    effects = shared + random.normal(size=(REPEATS, clusters, each))
    return effects.reshape(REPEATS, -1), np.repeat(np.arange(clusters), each)


@pytest.mark.parametrize("shape", ["normal", "skewed"])
@pytest.mark.parametrize(("clusters", "each"), [(3, 4), (4, 2), (8, 2), (15, 2), (30, 1), (60, 2)])
def test_95_percent_intervals_cover_the_truth_about_95_times_in_100(clusters, each, shape):
    effects, members = _clustered(np.random.default_rng(0), clusters, each, shape)
    found = stats.mean(effects, members, draws=1000)
    coverage = np.mean((found.low <= 0) & (found.high >= 0))
    print(f"{shape}, {clusters} clusters of {each}: coverage {coverage:.3f} ({found.method})")
    assert 0.90 <= coverage <= 0.99


@pytest.mark.parametrize("clusters", range(4, 12))
def test_few_clusters_seldom_make_an_interval_absurdly_long(clusters):
    effects, members = _clustered(np.random.default_rng(0), clusters, 2)
    found = stats.mean(effects, members, draws=1000)
    # In units of the true half-length with so many clusters.
    long = (found.high - found.low) / 2 / (1.96 * np.sqrt(1.5 / clusters))
    print(
        f"{clusters} clusters: median {np.median(long):.2f}, 99th centile {np.quantile(long, 0.99):.1f}"
    )
    assert np.quantile(long, 0.99) < 4


def test_ignoring_clusters_would_make_intervals_too_narrow():
    effects, members = _clustered(np.random.default_rng(0), 10, 8)
    together, apart = stats.mean(effects, members), stats.mean(effects)
    covered = [np.mean((found.low <= 0) & (found.high >= 0)) for found in (together, apart)]
    assert covered[0] > 0.90 > 0.75 > covered[1]


@pytest.mark.parametrize("denominator_spread", [0.1, 0.4])
def test_intervals_of_a_ratio_of_means_cover_the_true_ratio(denominator_spread):
    random = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        denominators = 2 + denominator_spread * random.normal(size=20)
        effects = 0.7 * denominators + random.normal(size=20)
        found = stats.ratio_of_means(effects, denominators, draws=500)
        covered.append(found.low <= 0.7 <= found.high)
    print(f"ratio of means: coverage {np.mean(covered):.3f}")
    assert 0.90 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize(("clusters", "each"), [(10, 3), (14, 1), (24, 2)])
def test_p_values_are_uniform_under_the_null(clusters, each):
    effects, members = _clustered(np.random.default_rng(1), clusters, each)
    p = stats.sign_flip(effects, members, signed=True, draws=2000)
    test = scipy_stats.kstest(p, "uniform")
    print(f"{clusters} clusters of {each}: {np.mean(p <= 0.05):.3f} of p-values are ≤ 0.05")
    # Few flips leave p-values on a grid of this step.
    assert test.statistic < 0.05 + 2 / min(2**clusters, 2000)
    assert 0.03 <= np.mean(p <= 0.05) <= 0.07


def test_flipping_prompts_of_a_shared_cluster_one_by_one_would_find_effects_that_are_not_there():
    effects, members = _clustered(np.random.default_rng(1), 8, 6)
    assert np.mean(stats.sign_flip(effects, members, signed=True) <= 0.05) < 0.07
    assert np.mean(stats.sign_flip(effects, signed=True, draws=1000) <= 0.05) > 0.2


def test_exact_sign_flips_agree_with_scipy_and_by_hand():
    effects = np.random.default_rng(2).normal(0.5, 1, size=(4, 9))
    ours = stats.sign_flip(effects, signed=True)
    for row, p in zip(effects, ours, strict=True):
        theirs = scipy_stats.permutation_test(
            (row,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
        )
        assert p == pytest.approx(theirs.pvalue, abs=1e-12)
    assert stats.sign_flip(np.array([1.0, 2.0, 3.0]), signed=True) == 2 / 8
    assert stats.sign_flip(np.array([1.0, 2.0, -3.0]), signed=True) == 1.0


def test_random_sign_flips_agree_with_exact_ones_within_their_own_error(monkeypatch):
    effects = np.random.default_rng(3).normal(0.4, 1, size=(50, 12))
    exact = stats.sign_flip(effects, signed=True)
    monkeypatch.setattr("interp.stats.signs.EXACT_UP_TO", 0)
    drawn = stats.sign_flip(effects, signed=True, draws=20_000)
    assert np.abs(exact - drawn).max() < 0.02
    assert drawn.min() >= 1 / 20_001


def test_sign_flips_agree_with_transformer_lens():
    from transformer_lens.utilities import statistics as theirs

    effects = np.random.default_rng(4).normal(0.4, 1, size=11)
    p = theirs.sign_flip_permutation_pvalue(torch.tensor(effects))
    assert stats.sign_flip(effects, signed=True) == pytest.approx(float(p), abs=1e-12)


def test_percentile_intervals_agree_with_scipy_and_transformer_lens():
    from transformer_lens.utilities import statistics as theirs

    effects = np.random.default_rng(5).exponential(size=(3, 80))
    ours = stats.mean(effects, draws=20_000)
    assert ours.method == "bootstrap, percentile"
    by_scipy = scipy_stats.bootstrap(
        (effects,), np.mean, axis=-1, method="percentile", n_resamples=20_000, rng=0
    ).confidence_interval
    by_lens = theirs.bootstrap_ci(torch.tensor(effects), n_resamples=20_000)
    for low, high in (by_scipy, [end.numpy() for end in by_lens]):
        np.testing.assert_allclose(ours.low, low, atol=0.01)
        np.testing.assert_allclose(ours.high, high, atol=0.01)


def test_studentised_intervals_equal_those_of_the_obvious_loop():
    random = np.random.default_rng(6)
    effects, members = random.exponential(size=18), np.repeat(np.arange(9), [1, 2, 3] * 3)
    found = stats.mean(effects, members, draws=400, seed=9)

    def mean_and_error(chosen):
        sums = np.array([effects[members == each].sum() for each in chosen])
        sizes = np.array([(members == each).sum() for each in chosen])
        value = sums.sum() / sizes.sum()
        return value, np.sqrt(9 / 8 * ((sums - value * sizes) ** 2).sum()) / sizes.sum()

    value, error = mean_and_error(range(9))
    times = np.random.default_rng(9).multinomial(9, np.full(9, 1 / 9), 400)
    drawn = [mean_and_error(np.repeat(np.arange(9), row)) for row in times]
    t = [(other - value) / spread for other, spread in drawn]
    low, high = np.quantile(t, [0.025, 0.975], method="nearest")
    assert (found.value, found.low, found.high) == pytest.approx(
        (effects.mean(), value - high * error, value - low * error)
    )


def test_two_clusters_get_student_t_and_one_gets_no_interval():
    effects = np.array([[1.0, 2.0, 5.0, 6.0]])
    two = stats.mean(effects, np.array([0, 0, 1, 1]))
    by_scipy = scipy_stats.t.interval(0.95, 1, loc=3.5, scale=scipy_stats.sem([1.5, 5.5]))
    assert (two.low[0], two.high[0]) == pytest.approx(by_scipy)
    one = stats.mean(effects, np.zeros(4, dtype=int))
    assert np.isnan(one.low[0])
    assert "one independent cluster" in one.method


def test_intervals_are_finite_where_all_prompts_but_one_agree_and_a_point_where_all_do():
    effects = np.array([[0.0] * 15 + [1.0], [0.3] * 16, [0.0] * 16])
    found = stats.mean(effects)
    assert np.isfinite(found.low).all()
    assert np.isfinite(found.high).all()
    assert found.low[0] < found.value[0] < found.high[0]
    np.testing.assert_allclose(found.low[1:], [0.3, 0], atol=1e-15)
    np.testing.assert_allclose(found.high[1:], [0.3, 0], atol=1e-15)


def test_results_do_not_depend_on_how_many_components_are_asked_for_together():
    effects = np.random.default_rng(7).normal(size=(1100, 16))
    members = np.repeat(np.arange(8), 2)
    together = stats.mean(effects, members, draws=300)
    alone = stats.mean(effects[1000], members, draws=300)
    assert together.low[1000] == pytest.approx(alone.low, rel=1e-12)
    p = stats.sign_flip(effects, members, signed=True)
    assert p[1000] == stats.sign_flip(effects[1000], members, signed=True)


def test_maps_keep_their_shape():
    effects = np.random.default_rng(8).normal(size=(3, 5, 12))
    assert stats.mean(effects).low.shape == (3, 5)
    assert stats.sign_flip(effects, signed=True).shape == (3, 5)


def test_ratio_of_means_and_mean_of_ratios_differ_as_worked_out_by_hand():
    effects, denominators = np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 4.0])
    assert stats.ratio_of_means(effects, denominators).value == pytest.approx(3 / 7)
    assert stats.mean_of_ratios(effects, denominators).value == pytest.approx(1.75 / 3)


def test_a_denominator_that_may_be_zero_gets_no_interval():
    random = np.random.default_rng(9)
    found = stats.ratio_of_means(random.normal(size=20), random.normal(0.1, 1, size=20))
    assert np.isnan(found.low)
    assert "denominators" in found.method
    with pytest.raises(UsageError, match="other than zero"):
        stats.mean_of_ratios(np.ones(2), np.array([1.0, 0.0]))


def test_a_share_has_wilsons_interval_and_clusters_widen_it():
    hits = np.array([True] * 27 + [False] * 3)
    apart = stats.share(hits)
    assert (apart.low, apart.high) == pytest.approx(proportion_confint(27, 30, method="wilson"))
    alike = stats.share(hits, np.repeat(np.arange(10), 3))
    assert (alike.low, alike.high) == pytest.approx(proportion_confint(9, 10, method="wilson"))
    assert stats.share(np.ones(30, dtype=bool)).high == pytest.approx(1)


def test_benjamini_hochberg_is_as_by_hand_and_leaves_nan_out():
    p = np.array([[0.01, 0.04], [np.nan, 0.03]])
    np.testing.assert_allclose(
        stats.benjamini_hochberg(p), [[0.03, 0.04], [np.nan, 0.04]], rtol=1e-12
    )


def test_false_discoveries_stay_under_their_rate():
    random = np.random.default_rng(10)
    shares = []
    for _ in range(40):
        effects = random.normal(size=(200, 14))
        effects[:40] += 2
        corrected = stats.table(effects)["p_corrected"].to_numpy()
        found = corrected <= 0.05
        shares.append(found[40:].sum() / max(found.sum(), 1))
        assert found[:40].mean() > 0.8
    assert np.mean(shares) < 0.06


def test_a_table_of_quantities_that_are_never_negative_has_no_p_values():
    effects = np.abs(np.random.default_rng(11).normal(size=(4, 10)))
    table = stats.table(effects, signed=False)
    assert table["p"].isna().all()
    assert table["p_corrected"].isna().all()
    assert list(table) == ["effect", "ci_low", "ci_high", "p", "p_corrected", "n"]
    with pytest.raises(UsageError, match="compare it with controls"):
        stats.sign_flip(effects, signed=False)


def test_rank_correlation_equals_scipys_and_its_interval_covers():
    random = np.random.default_rng(12)
    covered = []
    truth = 6 / np.pi * np.arcsin(0.6 / 2)
    for _ in range(500):
        first, second = random.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=40).T
        found = stats.rank_correlation(first, second)
        assert found.value == pytest.approx(scipy_stats.spearmanr(first, second).statistic)
        covered.append(found.low <= truth <= found.high)
    print(f"rank correlation: coverage {np.mean(covered):.3f}")
    assert 0.90 <= np.mean(covered) <= 0.99
    assert np.isnan(stats.rank_correlation(np.ones(9), np.arange(9.0)).value)


def test_halves_name_the_planted_component_in_both_and_measure_flattery():
    random = np.random.default_rng(13)
    effects = 0.5 * random.normal(size=(300, 20))
    effects[[7, 40]] += np.array([[3.0], [-4.0]])
    discovery = np.arange(20) % 2 == 0
    planted = stats.halves(effects, discovery, top=2)
    assert (planted.overlap, planted.same_sign) == (1.0, 1.0)
    assert planted.slope == pytest.approx(1.0, abs=0.1)
    noise = stats.halves(np.delete(effects, [7, 40], axis=0), discovery)
    assert abs(noise.slope) < 0.5
    with pytest.raises(UsageError, match="both halves"):
        stats.halves(effects, np.ones(20, dtype=bool))


def test_controls_place_an_effect_as_by_hand():
    found = stats.against_controls(np.array([5.0, -2.5, 0.0]), np.array([1.0, -2.0, 3.0, -4.0]))
    np.testing.assert_allclose(found.share, [1.0, 0.5, 0.0])
    np.testing.assert_allclose(found.p, [1 / 5, 3 / 5, 1.0])
    assert (found.median, found.largest, found.n) == (2.5, 4.0, 4)


@pytest.mark.parametrize(
    ("effects", "clusters", "words"),
    [
        (np.zeros((3, 0)), None, "at least one prompt"),
        (np.array([1.0, np.nan]), None, "NaN or infinite"),
    ],
)
def test_what_cannot_be_averaged_is_refused(effects, clusters, words):
    with pytest.raises(UsageError, match=words):
        stats.mean(effects, clusters)
