"""Every study stands in the table of what infers; what is measured for it is what the study measures."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

import interp
from interp import engine, tasks
from interp.stats.calibration import NOT_RUN, NULLS
from interp.study import calibrated, verdicts
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
        *(calibrated.SELECTIONS, calibrated.AGAIN, calibrated.SAME_RULE, calibrated.OWN_RULE),
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
        first = verdicts.Kept().counts("logit_attribution", "permuted labels", stored, 120, 0)
        monkeypatch.setattr(verdicts, "outcomes", lambda *_: pytest.fail("counted again"))
        again = verdicts.Kept().counts("logit_attribution", "permuted labels", stored, 120, 0)
    assert sum(first.values()) == 120
    assert again == first
    assert set(NULLS) <= {
        "random choice",
        "permuted labels",
        "answers by prompt",
        "answers by template",
    }


def test_what_is_wrong_is_the_worst_null_and_the_planted_that_is_missed():
    rows = [
        {"study": "a", "null": "random choice", "n": 20, "supported": 0.1, "not_supported": 0.0},
        {"study": "a", "null": "permuted labels", "n": 20, "supported": 0.2, "not_supported": 0.3},
        {"study": "a", "null": "planted 2 sd", "n": 10, "supported": 0.8, "not_supported": 0.0},
        {
            "study": "b",
            "null": "random choice",
            "n": 0,
            "supported": np.nan,
            "not_supported": np.nan,
        },
        {"study": "c", "null": "at the floor", "n": 10, "supported": 0.04, "not_supported": 0.03},
        {"study": "c", "null": "planted half", "n": 10, "supported": 0.0, "not_supported": 0.9},
    ]
    frame = pd.DataFrame(rows).assign(not_run=[0, 0, 0.5, 1, 0, 0])
    assert verdicts.least_found(frame) == 0.8
    found = verdicts.wrong(frame)
    assert found == {
        "a, supported under a null, largest rate": 0.2,
        "a, not supported under a null, largest rate": 0.3,
        "a, planted at 2 sd and missed": pytest.approx(0.6),
        "c, supported under a null, largest rate": 0.04,
        "c, not supported under a null, largest rate": 0.03,
        "c, planted half and missed": pytest.approx(0.1),
    }


def test_shares_are_of_the_repeats_that_gave_a_verdict():
    counted = Counter({"supported": 3, "inconclusive": 5, NOT_RUN: 2})
    row = verdicts.shares(counted, 10)
    assert (row["n"], row["supported"], row["not_supported"]) == (8, 3 / 8, 0)
    assert (row["inconclusive"], row["not_run"]) == (5 / 8, 0.2)
    assert row["supported_low"] < 3 / 8 < row["supported_high"]
    assert np.isnan(verdicts.shares(Counter({NOT_RUN: 4}), 4)["supported"])


def test_random_models_are_judged_by_every_quick_study(model, task):
    found = verdicts.of_random_models(model, task, models=1, seed=0).set_index("study")
    assert list(found.index) == list(verdicts.QUICK)
    assert (found.drop(columns="n").sum(axis=1) == 1).all()
    assert not len(verdicts.of_random_models(model, task, models=0, seed=0))
