"""Statistics keep their promises: coverage and error rates by simulation, values by comparison."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

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


SHAPES = {
    "normal": (0.0, lambda random, size: random.normal(size=size)),
    "t3": (0.0, lambda random, size: random.standard_t(3, size=size)),
    "exponential": (1.0, lambda random, size: random.exponential(size=size)),
    "lognormal": (np.exp(0.5), lambda random, size: random.lognormal(size=size)),
}


def _drawn(shape, clusters, uneven, seed=0):
    """REPEATS rows of effects, the prompts' clusters, and the true mean of cluster means. Uneven: one
    cluster in four is ten times as large."""
    truth, draw = SHAPES[shape]
    random = np.random.default_rng(seed)
    sizes = np.full(clusters, 2)
    if uneven:
        sizes[::4] *= 10
    members = np.repeat(np.arange(clusters), sizes)
    shared = draw(random, (REPEATS, clusters))[:, members]
    return shared + 0.3 * random.normal(size=shared.shape), members, truth


# Least coverage from six clusters on; lognormal data ask for twelve.
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize(
    ("shape", "clusters", "least"),
    [
        *((shape, k, 0.93) for shape in ("normal", "t3") for k in (6, 12, 60)),
        *(("exponential", k, 0.91) for k in (6, 12)),
        ("lognormal", 6, 0.87),
        ("lognormal", 12, 0.90),
    ],
)
def test_95_percent_intervals_cover_the_mean_of_cluster_means(shape, clusters, least, uneven):
    effects, members, truth = _drawn(shape, clusters, uneven)
    found = stats.mean(effects, members, draws=1000)
    coverage = np.mean((found.low <= truth) & (found.high >= truth))
    length = np.median(found.high - found.low)
    print(
        f"{shape}, {clusters} clusters, uneven {uneven}: {coverage:.3f}, median length {length:.2f}"
    )
    assert least <= coverage <= 0.995


@pytest.mark.parametrize(("clusters", "each"), [(3, 4), (5, 2)])
def test_under_six_clusters_students_t_gives_the_interval_and_says_that_they_are_few(
    clusters, each
):
    effects, members = _clustered(np.random.default_rng(0), clusters, each)
    found = stats.mean(effects, members)
    means = effects.reshape(REPEATS, clusters, each).mean(-1)
    low, high = scipy_stats.t.interval(
        0.95, clusters - 1, loc=means.mean(-1), scale=scipy_stats.sem(means, axis=-1)
    )
    np.testing.assert_allclose([found.low, found.high], [low, high], rtol=1e-9)
    assert "read with care" in found.method


@pytest.mark.parametrize("clusters", [4, 6, 12, 40])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_p_value_inverts_the_interval(shape, clusters):
    effects, members, truth = _drawn(shape, clusters, uneven=True)
    # Around its edge, where an interval only just leaves zero out.
    found = stats.mean(effects - truth, members)
    outside = (found.low > 0) | (found.high < 0)
    np.testing.assert_array_equal(found.p < 0.05, outside)
    assert 0 < outside.mean() < 0.3


@pytest.mark.parametrize(("shape", "most"), [("normal", 0.06), ("lognormal", 0.10)])
def test_the_test_is_of_its_nominal_size(shape, most):
    effects, members, truth = _drawn(shape, 12, uneven=False, seed=1)
    size = np.mean(stats.mean(effects - truth, members).p < 0.05)
    print(f"{shape}: size {size:.3f}")
    assert size <= most


def test_templates_weigh_alike_and_the_pooled_mean_stands_beside():
    effects = np.array([[1.0, 1.0, 1.0, 1.0, 4.0]])
    found = stats.mean(effects, np.array([0, 0, 0, 0, 1]))
    assert (found.value[0], found.pooled[0]) == (2.5, 1.6)
    assert stats.mean(effects[:, 3:], np.array([0, 1])).pooled is None


def test_where_items_recur_too_the_longer_interval_is_given():
    random = np.random.default_rng(3)
    # Twelve templates times four names, and the names decide.
    names, templates = np.tile(np.arange(4), 12), np.repeat(np.arange(12), 4)
    effects = random.normal(size=(200, 4))[:, names] + 0.1 * random.normal(size=(200, 48))
    by_template, both = stats.mean(effects, templates), stats.mean(effects, templates, names)
    np.testing.assert_allclose(by_template.value, both.value)
    lengths = [np.median(each.high - each.low) for each in (by_template, both)]
    assert lengths[1] > 5 * lengths[0]
    assert ((both.high - both.low) >= (by_template.high - by_template.low) - 1e-12).all()
    np.testing.assert_array_equal(both.p < 0.05, (both.low > 0) | (both.high < 0))
    assert "4 items" in both.method
    # An item of its own for every prompt changes nothing.
    alone = stats.mean(effects, templates, np.arange(48))
    np.testing.assert_array_equal(alone.low, by_template.low)


def test_skewed_cluster_means_are_told():
    values = np.array(
        [[0.1, 0.2, 0.1, 0.0, 0.2, 0.1, 0.1, 9.0], [0.1, 0.2, 0.1, 0.0, 0.2, 0.1, 0.1, 0.2]]
    )
    skewed = np.abs(stats.mean(values).skewness) > stats.SKEWED
    assert skewed.tolist() == [True, False]


@pytest.mark.parametrize("clusters", [4, 5, 6, 7, 8, 11])
def test_few_clusters_seldom_make_an_interval_absurdly_long(clusters):
    effects, members = _clustered(np.random.default_rng(0), clusters, 2)
    found = stats.mean(effects, members, draws=1000)
    # In units of the true half-length with so many clusters.
    long = (found.high - found.low) / 2 / (1.96 * np.sqrt(1.5 / clusters))
    print(
        f"{clusters} clusters: median {np.median(long):.2f}, 99th centile {np.quantile(long, 0.99):.1f}"
    )
    # From six on the bootstrap's end may be the longer one, which skewed data need.
    assert np.median(long) < 1.8
    assert np.quantile(long, 0.99) < (9 if clusters in (6, 7) else 4)


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
    assert together.p[1000] == pytest.approx(alone.p, abs=1e-12)


def test_maps_keep_their_shape():
    effects = np.random.default_rng(8).normal(size=(3, 5, 12))
    assert stats.mean(effects).low.shape == (3, 5)
    assert stats.mean(effects).p.shape == (3, 5)


def test_a_ratio_of_means_is_no_mean_of_ratios_as_worked_out_by_hand():
    effects, denominators = np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 4.0])
    assert stats.ratio_of_means(effects, denominators).value == pytest.approx(3 / 7)
    assert stats.mean(effects / denominators).value == pytest.approx(1.75 / 3)


def test_a_denominator_that_may_be_zero_gets_no_interval():
    random = np.random.default_rng(9)
    found = stats.ratio_of_means(random.normal(size=20), random.normal(0.1, 1, size=20))
    assert np.isnan(found.low)
    assert "denominators" in found.method


def _wilson(hits, n):
    return tuple(scipy_stats.binomtest(hits, n).proportion_ci(method="wilson"))


def test_a_share_has_wilsons_interval_and_clusters_widen_it():
    hits = np.array([True] * 27 + [False] * 3)
    apart = stats.share(hits)
    assert (apart.low, apart.high) == pytest.approx(_wilson(27, 30))
    alike = stats.share(hits, np.repeat(np.arange(10), 3))
    assert (alike.low, alike.high) == pytest.approx(_wilson(9, 10))
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
