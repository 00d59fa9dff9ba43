"""Effects know their labels; selections are made on one half and estimated on others; verdicts follow."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import interp
from interp import tasks, views
from interp.effects import Effects, verdict_of
from interp.errors import NotApplicable, UsageError
from interp.stats.selection import random_sets

N_LAYERS, N_HEADS = 6, 8
RANDOM = np.random.default_rng(0)


@dataclass(frozen=True)
class Part:
    layer: int
    head: int

    def columns(self):
        return {"layer": self.layer, "head": self.head}

    def __str__(self):
        return f"L{self.layer}H{self.head}"


PARTS = [Part(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]


@pytest.fixture(scope="module")
def task():
    return tasks.build("ioi", interp.load("tiny-gpt2").tokenizer, n=24, seed=1)


def shared(random, number, task, spread):
    """What the prompts of one template have in common, for every component."""
    clusters = task.clusters
    return spread * random.normal(size=(number, clusters.max() + 1))[:, clusters]


def noise(random, number, task, spread=0.3):
    each = random.normal(size=(number, task.n))
    return each + shared(random, number, task, spread)


def screen(random, task, spread=0.3):
    """Components that differ for good, as those of a model do, and prompts and templates that vary."""
    own = random.normal(size=(len(PARTS), 1))
    return Effects(own + noise(random, len(PARTS), task, spread), PARTS, task)


def fresh_of(selection, values):
    task = selection.screen.task.confirmation
    return Effects(values(task), selection.components, task)


def judged(selection, random, size, seed=0):
    """The selection tested where every chosen component has an effect of this size on fresh prompts."""
    signs = selection.signs[selection.rows][:, None]
    number = len(selection)
    fresh = fresh_of(selection, lambda task: signs * size + noise(random, number, task))
    controls = {"elsewhere": fresh_of(selection, lambda task: noise(random, number, task))}
    return selection.test(fresh, controls, seed=seed)


def planted(random, task, rows, size):
    values = noise(random, len(PARTS), task)
    values[rows] += size
    return Effects(values, PARTS, task)


def test_the_largest_are_those_of_these_very_prompts_by_their_clusters_means(task):
    values = np.zeros((len(PARTS), task.n))
    values[4], values[2] = -3.0, 1.0
    # One cluster of many prompts weighs no more than another.
    values[6, task.clusters == 0] = 20.0
    found = Effects(values, PARTS, task).largest(3)
    assert set(found.components) == {PARTS[4], PARTS[2], PARTS[6]}
    means = np.abs(found.interval().value)
    assert list(means) == sorted(means, reverse=True)


def test_only_lowering_components_are_chosen_where_they_have_to_be(task):
    values = np.zeros((len(PARTS), task.n))
    values[[3, 5, 9]] = [[2.0], [-1.0], [-3.0]]
    effects = Effects(values, PARTS, task)
    assert effects.select(10, lowering=True).rows.tolist() == [9, 5]
    assert effects.select(1, lowering=True).rows.tolist() == [9]
    assert not len(effects.only([3]).select(1, lowering=True))


def test_one_sided_effects_are_ranked_upwards_whatever_they_were_on_the_discovery_half(task):
    random = np.random.default_rng(4)
    both = screen(random, task)
    chosen = replace(both.select(3), screen=screen(random, task)).upwards()
    fresh = fresh_of(chosen, lambda task: noise(random, 3, task))
    ones = replace(both, values=np.ones_like(both.values))
    same = replace(chosen, one_sided=False).test(fresh, {"elsewhere": fresh}, directed=ones)
    found = chosen.test(fresh, {"elsewhere": fresh})
    assert (found.ranking.p, found.at_random) == (same.ranking.p, same.at_random)
    held_out = chosen.screen.where(chosen.held_out).only(chosen.rows)
    assert found.ranking.value == pytest.approx(held_out.interval().value.mean())


def test_the_strongest_of_the_discovery_half_are_chosen_and_nothing_else(task):
    values = np.zeros((len(PARTS), task.n))
    discovery = task.where(half="discovery")
    values[3, discovery] = -2.0
    values[7, discovery] = 1.0
    # On the other half others are larger; they must not be seen.
    values[11, ~discovery] = 9.0
    chosen = Effects(values, PARTS, task).select(2)
    assert [str(each) for each in chosen.components] == ["L0H3", "L0H7"]
    assert chosen.signs[chosen.rows].tolist() == [-1, 1]


def test_planted_components_are_found_and_supported(task):
    random, rows = np.random.default_rng(1), [5, 20, 33]
    effects = planted(random, task, rows, -3.0)
    chosen = effects.select(3)
    assert sorted(chosen.rows.tolist()) == rows
    test = judged(chosen, random, 3.0)
    assert test.verdict == "supported"
    assert (test.frame.effect < 0).all()
    assert test.frame.discovery_effect.to_numpy() == pytest.approx(
        [effects.values[row][chosen.discovery].mean() for row in chosen.rows], abs=0.7
    )


def test_what_exists_on_the_discovery_half_alone_is_not_supported(task):
    random, rows = np.random.default_rng(2), [5, 20, 33]
    values = noise(random, len(PARTS), task)
    discovery = task.where(half="discovery")
    values[np.ix_(rows, np.flatnonzero(discovery))] -= 3.0
    chosen = Effects(values, PARTS, task).select(3)
    assert sorted(chosen.rows.tolist()) == rows
    assert judged(chosen, random, 0.0).verdict != "supported"
    # Nor where fresh prompts confirm it: its rank on the held-out half is that of a random choice.
    assert judged(chosen, random, 3.0).verdict != "supported"


def test_an_effect_that_turns_round_on_fresh_prompts_is_not_supported(task):
    random = np.random.default_rng(3)
    chosen = planted(random, task, [5, 20, 33], -3.0).select(3)
    assert judged(chosen, random, -3.0).verdict == "not supported"


def test_controls_as_large_as_the_effect_keep_it_from_being_supported(task):
    random = np.random.default_rng(4)
    chosen = planted(random, task, [5, 20, 33], -3.0).select(3)
    signs = chosen.signs[chosen.rows][:, None]
    fresh = fresh_of(chosen, lambda task: signs * 3.0 + noise(random, 3, task))
    alike = fresh_of(chosen, lambda task: signs * 3.0 + noise(random, 3, task))
    assert chosen.test(fresh, {}).verdict == "supported"
    assert chosen.test(fresh, {"elsewhere": alike}).verdict == "inconclusive"


def test_a_random_choice_is_supported_no_more_often_than_one_time_in_twenty(task):
    verdicts = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        effects = screen(random, task)
        chosen = effects.select(6)
        rows = random_sets(chosen.rows, chosen.strata, 1, seed)[0]
        # The components differ for good, also on fresh prompts; only the choice is random.
        means = effects.mean()[rows]
        picked = replace(chosen, rows=rows)
        fresh = fresh_of(
            picked, lambda task, random=random, means=means: means[:, None] + noise(random, 6, task)
        )
        verdicts.append(picked.test(fresh, {}, seed=seed).verdict)
    assert verdicts.count("supported") <= 6
    assert verdicts.count("not supported") <= 6


def test_clusters_widen_the_interval(task):
    random = np.random.default_rng(5)
    values = shared(random, len(PARTS), task, 1.0)
    effects = Effects(values, PARTS, task)
    apart = replace(effects, task=_each_its_own_cluster(task))
    widths = [each.interval().high - each.interval().low for each in (effects, apart)]
    assert np.median(widths[0]) > 1.3 * np.median(widths[1])


def _each_its_own_cluster(task):
    prompts = [replace(each, cluster=str(row), item="") for row, each in enumerate(task.prompts)]
    return replace(task, prompts=tuple(prompts))


def test_tables_begin_with_what_names_the_components(task):
    effects = screen(np.random.default_rng(6), task)
    frame = effects.frame()
    assert list(frame.columns[:6]) == [
        "layer",
        "head",
        "effect",
        "ci_low",
        "ci_high",
        "p_corrected",
    ]
    assert frame["head"].tolist() == [part.head for part in PARTS]
    assert list(effects.only([9, 3]).frame()["head"]) == [1, 3]


def test_variants_part_the_prompts_and_lose_none(task):
    effects = screen(np.random.default_rng(7), task)
    found = effects.by_variant()
    assert set(found) == {prompt.order for prompt in task.kept}
    assert sum(each.task.n for each in found.values()) == task.n
    total = sum(each.values.sum(-1) for each in found.values())
    np.testing.assert_allclose(total, effects.values.sum(-1))


def test_matched_components_are_of_the_same_layers_and_not_chosen(task):
    chosen = screen(np.random.default_rng(8), task).select(10)
    matched = chosen.matched(seed=0)
    assert not set(matched) & set(chosen.rows)
    assert sorted(chosen.strata[matched]) == sorted(chosen.strata[chosen.rows])


def test_directions_may_be_those_of_other_effects(task):
    random = np.random.default_rng(9)
    chosen = planted(random, task, [5, 20, 33], -3.0).select(3)
    against = replace(chosen.screen, values=-chosen.screen.values)
    fresh = fresh_of(chosen, lambda task: -3.0 + noise(random, 3, task))
    assert chosen.test(fresh, {}).ranking.value > 0
    assert chosen.test(fresh, {}, directed=against).ranking.value < 0


def test_several_tests_hold_together(task):
    random = np.random.default_rng(10)
    chosen = planted(random, task, [5, 20, 33], -3.0).select(3)
    good, bad = judged(chosen, random, 3.0), judged(chosen, random, -3.0)
    open_ = judged(chosen, random, 0.0)
    assert verdict_of([good, good]) == "supported"
    assert verdict_of([good, bad]) == "not supported"
    assert verdict_of([good, open_]) == "inconclusive"


@pytest.mark.parametrize("shape", [(3, 24), (len(PARTS), 3)])
def test_values_of_another_shape_are_refused(task, shape):
    with pytest.raises(
        UsageError, match=f"expected effects of {len(PARTS)} components on 24 prompts"
    ):
        Effects(np.zeros(shape), PARTS, task)


def test_nan_is_refused(task):
    values = np.zeros((len(PARTS), task.n))
    values[2, 1] = np.nan
    with pytest.raises(UsageError, match="finite"):
        Effects(values, PARTS, task)


def test_a_task_that_holds_nothing_out_is_not_run(task):
    one = task.only(task.clusters == 0)
    one = replace(one, source=None, whole=())
    with pytest.raises(NotApplicable):
        Effects(np.zeros((len(PARTS), one.n)), PARTS, one).select(2)


def test_effects_that_are_never_negative_have_no_p_against_zero(task):
    """Every component of noise is above zero here, and none is therefore found."""
    random = np.random.default_rng(9)
    own = np.abs(random.normal(size=(len(PARTS), 1)))

    def divergence(rows, about):
        return np.abs(own[rows] + 0.1 * random.normal(size=(len(rows), about.n)))

    everything = np.arange(len(PARTS))
    noise = Effects(divergence(everything, task), PARTS, task, "nats", signed=False)
    assert noise.frame()["p_corrected"].isna().all()
    assert noise.frame()["ci_low"].gt(0).all()
    assert noise.interval().p is None
    chosen = noise.select(6)
    assert chosen.frame()["p_corrected"].isna().all()
    fresh = replace(
        fresh_of(chosen, lambda about: divergence(chosen.rows, about)), unit="nats", signed=False
    )
    test = chosen.test(fresh, {"elsewhere": fresh})
    assert test.frame["p"].isna().all()
    # Its difference from a control that does as much is zero, however far from zero both are.
    assert test.verdict == "inconclusive"
    words, table = views.tests.controls([test])
    assert any("Zero" in line for line in words.text.splitlines())
    assert "each in its discovery direction" in words.text
    upwards = chosen.upwards().test(fresh, {"elsewhere": fresh})
    words, table = views.tests.controls([upwards])
    assert "all counted upwards" in words.text
    assert "counted upwards" in table.note
    assert (noise - noise).signed
