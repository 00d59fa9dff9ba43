"""Every estimate is of the prompts that its name says, with intervals over clusters and items."""

from dataclasses import dataclass

import numpy as np
import pytest

import interp
from interp import stats, tasks
from interp.effects import Effects


@dataclass(frozen=True)
class Part:
    layer: int

    def columns(self):
        return {"layer": self.layer}


def effects_of(task, parts, seed):
    random = np.random.default_rng(seed)
    shared = random.normal(size=(len(parts), task.clusters.max() + 1))[:, task.clusters]
    if task.items is not None:
        _, items = np.unique(task.items, return_inverse=True)
        shared = shared + 2 * random.normal(size=(len(parts), items.max() + 1))[:, items]
    return Effects(shared + 0.3 * random.normal(size=shared.shape), parts, task)


@pytest.fixture(scope="module")
def chosen():
    task = tasks.build("ioi", interp.load("tiny-gpt2").tokenizer, n=24, seed=1)
    parts = [Part(number % 3) for number in range(24)]
    return effects_of(task, parts, 0).select(4)


def test_the_interval_and_the_table_are_over_clusters_and_items(chosen):
    effects = effects_of(chosen.screen.task.confirmation, [Part(0), Part(1)], 1)
    task = effects.task
    expected = stats.mean(effects.values, task.clusters, task.items)
    np.testing.assert_allclose(effects.interval().low, expected.low)
    np.testing.assert_allclose(effects.frame()["ci_low"], expected.low)
    without = stats.mean(effects.values)
    assert (np.abs(without.low - expected.low) > 1e-3).all()


def test_the_table_of_a_selection_is_of_the_held_out_half(chosen):
    values, task = chosen.screen.values[chosen.rows], chosen.screen.task
    there = task.where(half="held_out")
    expected = stats.mean(values[:, there], task.clusters[there])
    found = chosen.frame()
    np.testing.assert_allclose(found["effect"], expected.value)
    np.testing.assert_allclose(found["ci_low"], expected.low)
    np.testing.assert_allclose(found["discovery_effect"], values[:, ~there].mean(-1))


def test_what_confirms_is_fresh_with_its_own_clusters_items_and_controls(chosen):
    task = chosen.screen.task.confirmation
    fresh, control = (effects_of(task, chosen.components, seed) for seed in (2, 3))
    test = chosen.test(fresh, {"elsewhere": control})
    signs = chosen.signs[chosen.rows][:, None]
    ours, theirs = (signs * fresh.values).mean(0), (signs * control.values).mean(0)
    expected = stats.mean(ours, task.clusters, task.items)
    found = test.confirmation
    assert float(found.chosen.value) == pytest.approx(float(expected.value))
    assert float(found.chosen.low) == pytest.approx(float(expected.low))
    against = stats.mean(theirs, task.clusters, task.items)
    assert float(found.controls["elsewhere"].value) == pytest.approx(float(against.value))
    each = stats.mean(fresh.values, task.clusters, task.items)
    np.testing.assert_allclose(test.frame["effect"], each.value)
    np.testing.assert_allclose(test.frame["ci_low"], each.low)
    assert abs(float(stats.mean(ours, task.clusters).low - expected.low)) > 1e-3
