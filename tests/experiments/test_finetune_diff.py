"""What was changed by hand is found, and nothing else; a model against itself shows nothing."""

import numpy as np
import pytest
import torch

import interp
from interp import tasks
from interp.components import Head
from interp.errors import UsageError
from interp.methods.ablate import ablate
from interp.methods.two_models import distances
from interp.stats import cluster_means
from interp.study.registry import discover

CHANGED, FACTOR = "L2H1", 10


def changed(name):
    """The model with one head writing ten times as much, in float64."""
    model = interp.load(name, dtype=torch.float64)
    weights = {each: it.detach().clone() for each, it in model.named_parameters()}
    weights["blocks.2.attn.W_O"][1] *= FACTOR
    model.assign(weights)
    return model


def run(model, **settings):
    function = discover().studies["finetune_diff"].load()
    return function(model, tasks.build("ioi", model.tokenizer, n=8, seed=0), **settings)


def tables(report):
    return {each.name: each.frame for each in report.tables} | dict(report.files)


@pytest.fixture(scope="module", params=["tiny-gpt2", "tiny-llama"])
def found(request):
    return request.param, run(changed(request.param), before=request.param, top=1)


def test_only_the_changed_head_moved_and_as_far_as_its_matrix_says(found):
    name, report = found
    weights = tables(report)["weights"]
    moved = weights[weights["distance"] > 0]
    assert [(row.part, row.layer, row.head) for row in moved.itertuples()] == [("head", 2, 1)]
    model = interp.load(name, dtype=torch.float64)
    attn, group = model.block(2).attn, model.config.group
    own = {"W_Q": 1, "W_O": 1, "b_Q": 1, "W_K": 1 // group, "W_V": 1 // group}
    own |= {"b_K": 1 // group, "b_V": 1 // group}
    held = {each: getattr(attn, each, None) for each in own}
    parts = [it[own[each]].detach() for each, it in held.items() if it is not None]
    length = np.sqrt(sum(float(part.square().sum()) for part in parts))
    expected = (FACTOR - 1) * float(attn.W_O[1].detach().norm()) / length
    assert moved["distance"].item() == pytest.approx(expected, rel=1e-12)


def test_the_effects_of_the_changed_head_are_those_of_the_two_models(found):
    name, report = found
    assert all(check.passed for check in report.checks), report.checks
    ablation = tables(report)["ablation"].set_index("part")
    assert ablation["difference"].to_numpy() == pytest.approx(
        (ablation["after"] - ablation["before"]).to_numpy(), abs=1e-12
    )
    model = interp.load(name, dtype=torch.float64)
    task = tasks.build("ioi", model.tokenizer, n=8, seed=0)
    for side, each in (("before", model), ("after", changed(name))):
        alone = ablate(each, task, [Head(2, 1)], ("resample",)).effects["resample"].values
        alone = cluster_means(alone, task.clusters).mean()
        assert ablation.loc[CHANGED, side] == pytest.approx(alone, abs=1e-12)
    direct = tables(report)["attribution"]
    assert direct["difference"].to_numpy() == pytest.approx(
        (direct["after"] - direct["before"]).to_numpy(), abs=1e-12
    )
    assert any("prefers the answer on" in warning for warning in report.warnings)


def test_a_model_beside_itself_has_not_changed():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    report = run(model, before="tiny-gpt2")
    found = tables(report)
    assert (found["weights"]["distance"] == 0).all()
    assert (found["ablation"]["difference"] == 0).all()
    assert (found["attribution"]["difference"] == 0).all()
    assert report.headlines[1].value == pytest.approx(0, abs=1e-12)
    assert report.verdict == "inconclusive"


def test_a_beginning_that_is_none_is_refused():
    model = interp.load("tiny-gpt2")
    with pytest.raises(UsageError, match="say what tiny-gpt2 was before: --before NAME"):
        run(model)
    with pytest.raises(UsageError, match="differ in shape"):
        distances(model, interp.load("tiny-llama"))
    with pytest.raises(UsageError, match="books-gpt2 and tiny-gpt2 have different tokenizers"):
        run(model, before="books-gpt2")


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-neox"])
def test_a_change_of_any_weight_is_the_change_of_some_component(name):
    before, after = (interp.load(name, dtype=torch.float64) for _ in range(2))
    for weight in after.parameters():
        with torch.no_grad():
            old = weight.clone()
            weight += 1
            moved = distances(before, after)
            weight.copy_(old)
        assert sum(moved.values()) > 0
    assert not any(distances(before, after).values())
