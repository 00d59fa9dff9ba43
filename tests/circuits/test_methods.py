"""Methods by name: what each is made of, what it refuses, and what several say together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

import interp
from interp import tasks
from interp.circuits import Graph
from interp.circuits.integrated import eap_ig_activations, groups
from interp.circuits.methods import METHODS, averaged, method
from interp.circuits.run import run_circuits
from interp.circuits.scores import clean_corrupted, eap
from interp.circuits.search import edge_scores, mean_scores
from interp.circuits.written import ablation_values
from interp.errors import UsageError
from interp.linear import GIM, RELP, frozen
from interp.metrics import KLToBase, logit_difference, measured
from interp.tasks.batches import by_length


@pytest.fixture(scope="module")
def model():
    """One with grouped keys and gates: what methods are made of is tested on every kind."""
    return interp.load("tiny-llama", dtype=torch.float64)


@pytest.fixture(scope="module")
def graph(model):
    return Graph.of(model)


@pytest.fixture(scope="module")
def task(model):
    return tasks.build("ioi", model.tokenizer, n=8)


@pytest.fixture(scope="module")
def batch(task):
    return by_length(task)[0]


@pytest.fixture(scope="module")
def other(model, graph, task, batch):
    return ablation_values(model, graph, task, batch, "resample")


def value(batch, logits):
    real = torch.ones_like(batch.clean[:, :1], dtype=torch.bool)
    return measured(logit_difference(batch), logits, real)


def test_every_name_is_its_score(model, graph, task, batch, other):
    given = (model, graph, batch, other)
    expected = {
        "eap": eap(*given),
        "eap-ig": eap(*given, steps=2),
        "eap-ig-activations": eap_ig_activations(*given, steps=2),
        "clean-corrupted": clean_corrupted(*given),
        "relp": eap(*given, rules=RELP),
        "gim": eap(*given, rules=GIM),
    }
    allowed = torch.from_numpy(graph.allowed)
    three = [expected[name].each for name in ("eap", "eap-ig", "clean-corrupted")]
    for name, scores in METHODS.items():
        found = scores(model, graph, task, batch, steps=2)
        assert scores.name == name
        if name in expected:
            torch.testing.assert_close(found.each, expected[name].each)
        else:
            torch.testing.assert_close(found.each, averaged(three, allowed, scores.by))
        assert not found.each[:, ~allowed].any()


def test_prompts_in_slices_have_the_same_scores(model, graph, task, batch):
    whole = METHODS["average-rank"](model, graph, task, batch, steps=1)
    sliced = METHODS["average-rank"](model, graph, task, batch, steps=1, memory=1)
    torch.testing.assert_close(sliced.each, whole.each)
    torch.testing.assert_close(sliced.metric, whole.metric)


@pytest.mark.parametrize(
    ("kind", "apart"), [("resample", False), ("zero", False), ("mean", False), ("resample", True)]
)
def test_edges_out_of_a_group_of_writers_add_up_to_its_exact_effect(
    model, graph, task, batch, kind, apart
):
    """The heads of a layer, an MLP or the embedding; apart, every node; whatever the ablation."""
    other = ablation_values(model, graph, task, batch, kind)
    # On the way of the first streams to nothing all that changes changes at its end, past a norm.
    chosen = groups(graph, apart)[2::3]
    masks = []
    for columns in chosen:
        masks.append(graph.allowed.copy())
        masks[-1][:, columns] = False
    runs = run_circuits(model, graph, batch.clean, other, [graph.allowed, *masks])
    whole, *ablated = [value(batch, run) for run in runs]
    exact = torch.stack(ablated) - whole
    errors = []
    for steps in (1, 5):
        each = eap_ig_activations(model, graph, batch, other, steps=steps, apart=apart).each
        sums = torch.stack([each[:, :, columns].sum((1, 2)) for columns in chosen])
        errors.append(float((sums - exact).abs().max()))
    assert errors[1] < errors[0] / 3
    assert errors[1] < 0.3 * float(exact.abs().max())


def test_a_way_from_the_corrupted_prompt_needs_the_corrupted_prompt(model, graph, task, batch):
    for name in ("eap-ig", "clean-corrupted", "average"):
        with pytest.raises(
            UsageError, match=r"goes from the corrupted prompt .* not zero; use eap"
        ):
            METHODS[name](model, graph, task, batch, "zero")
    for name in ("eap", "relp", "eap-ig-activations"):
        found = METHODS[name](model, graph, task, batch, "mean", steps=1).each
        assert found.isfinite().all()
    with pytest.raises(UsageError, match="takes 1 step or more, got 0"):
        METHODS["eap-ig"](model, graph, task, batch, steps=0)
    with pytest.raises(
        UsageError, match="no score of edges is called 'eap-gi'; nearest names: eap"
    ):
        method("eap-gi")


def test_a_divergence_has_slopes_on_the_way_though_none_at_its_end(model, graph, task, batch):
    kl = {"metric": lambda batch: KLToBase()}
    with pytest.raises(UsageError, match="has no slope at this run.*integrated gradients"):
        METHODS["eap"](model, graph, task, batch, **kl)
    assert METHODS["eap-ig"](model, graph, task, batch, steps=2, **kl).each.any()
    assert METHODS["eap-ig-activations"](model, graph, task, batch, steps=2, **kl).each.any()


def test_the_average_is_of_values_or_of_ranks_among_edges_that_have_scores(graph):
    generator = torch.Generator().manual_seed(0)
    allowed = torch.from_numpy(graph.allowed)
    first, second = (torch.randn(2, *allowed.shape, generator=generator).double() for _ in "ab")
    first, second = first * allowed, (second * allowed).round(decimals=1)
    second[:, 0] = torch.nan
    known = allowed & ~second[0].isnan()
    by_value, by_rank = (averaged([first, second], allowed, by) for by in ("value", "rank"))
    assert by_value[:, 0].isnan().all()
    torch.testing.assert_close(by_value[:, 1:], (first + second)[:, 1:] / 2)
    expected = [
        (rankdata(each[one]) - 1) / (int(one.sum()) - 1) * 2 - 1
        for each, one in ((first[1], allowed), (second[1], known))
    ]
    mine = averaged([first], allowed, "rank")[1][allowed], averaged([second], allowed, "rank")
    np.testing.assert_allclose(mine[0], expected[0])
    np.testing.assert_allclose(mine[1][1][known], expected[1])
    assert by_rank[:, 0][:, allowed[0]].isnan().all()
    assert not by_rank[:, ~allowed].any()


def test_edges_without_a_score_stand_outside_of_the_scores_of_a_task(model, graph, task):
    own = replace(METHODS["eap"], rules=frozen("pattern"))
    found = edge_scores(model, graph, task, method=own)
    unscored = np.array([each.input in ("q", "k") for each in graph.readers])
    assert len(found.values) == int(graph.allowed[~unscored].sum())
    means = mean_scores(graph, found)
    assert np.isnan(means[unscored][graph.allowed[unscored]]).all()
    assert np.isfinite(means[~unscored]).all()


def test_an_average_of_methods_scores_what_all_of_them_score():
    partly = replace(METHODS["relp"], rules=frozen("pattern", rules=RELP))
    assert not replace(METHODS["average"], parts=(METHODS["eap"], partly)).scores_queries
    assert METHODS["average"].scores_queries
    assert METHODS["average"].integrates
    assert not METHODS["clean-corrupted"].integrates
