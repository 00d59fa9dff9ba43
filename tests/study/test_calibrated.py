"""Every study stands in the table of what infers; what is measured for it is what the study measures."""

import numpy as np
import pytest

import interp
from interp import engine, tasks
from interp.stats.calibration import NULLS
from interp.study import calibrated
from interp.study.registry import discover

TOP = 6


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-gpt2")


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=8, seed=0, confirm=24)


def test_every_study_is_in_the_table_once():
    tables = (
        *(calibrated.SELECTIONS, calibrated.SAME_RULE, calibrated.OWN_RULE),
        *(calibrated.IDENTITIES, calibrated.ITSELF),
    )
    named = [name for table in tables for name in table]
    assert sorted(named) == sorted(discover().studies)


@pytest.mark.parametrize("name", calibrated.SELECTIONS)
def test_all_components_are_measured_on_the_screen_and_on_fresh_prompts(name, model, task):
    infers = calibrated.SELECTIONS[name]
    stored = infers.measure(model, task, infers.top)
    fresh = task.confirmation
    assert stored.screen.shape == (len(stored.strata), task.n)
    assert stored.fresh.shape == (len(stored.strata), fresh.n)
    assert len(stored.controls) == 2
    assert all(each.shape == stored.fresh.shape for each in stored.controls.values())
    assert np.isfinite(stored.fresh).all()
    settings = {each.name: each.default for each in discover().studies[name].settings}
    assert infers.top == settings["top"]


def test_the_choice_and_the_effects_are_those_of_the_study(model, task):
    infers = calibrated.SELECTIONS["head_ablation"]
    stored = infers.measure(model, task, TOP)
    function = discover().studies["head_ablation"].load()
    report = function(model, task, top=TOP)
    confirmed = next(table.frame for table in report.tables if table.name == "confirmed")
    chosen = confirmed["layer"] * model.config.n_heads + confirmed["head"]
    np.testing.assert_array_equal(chosen, stored.choice())
    from interp.stats import cluster_means

    means = cluster_means(stored.fresh[chosen], task.confirmation.clusters).mean(-1)
    np.testing.assert_allclose(confirmed["effect"], means, atol=1e-4)


def test_counts_go_on_where_they_stopped(model, task, tmp_path, monkeypatch):
    stored = calibrated.SELECTIONS["logit_attribution"].measure(model, task, TOP)
    with engine.options(checkpoints=tmp_path):
        first = calibrated.Kept().counts("logit_attribution", "permuted labels", stored, 120, 0)
        monkeypatch.setattr(calibrated, "outcomes", lambda *_: pytest.fail("counted again"))
        again = calibrated.Kept().counts("logit_attribution", "permuted labels", stored, 120, 0)
    assert sum(first.values()) == 120
    assert again == first
    assert set(NULLS) <= {
        "random choice",
        "permuted labels",
        "answers by prompt",
        "answers by template",
    }
