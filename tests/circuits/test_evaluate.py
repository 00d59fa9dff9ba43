"""What circuits do beside the whole model, and what random circuits have to be."""

from dataclasses import replace

import numpy as np
import pytest

import interp
from interp import tasks
from interp.circuits import Graph
from interp.circuits.controls import random_circuits, uniform_circuits
from interp.circuits.evaluate import evaluate
from interp.circuits.graph import top
from interp.circuits.scores import eap
from interp.circuits.written import ablation_values
from interp.errors import NotApplicable
from interp.metrics import AnswerLogProb
from interp.tasks.batches import by_length, gathered


@pytest.fixture(scope="module")
def books():
    model = interp.load("books-gpt2")
    return model, Graph.of(model), tasks.build("gendered_pronoun", model.tokenizer, n=16)


def test_the_whole_model_has_all_of_the_gap_and_the_empty_circuit_none(model, graph, task):
    masks = [graph.allowed, np.zeros_like(graph.allowed)]
    found = evaluate(model, graph, task, masks)
    np.testing.assert_allclose(found.faithfulness().value, [1, 0], atol=1e-9)
    np.testing.assert_allclose(found.kl[0], 0, atol=1e-9)
    assert found.same[0].all()
    run = [(batch, model.run(batch.clean, logits_at=-1).logits[:, 0]) for batch in by_length(task)]
    expected = gathered(
        task,
        [
            (
                batch,
                (
                    end.gather(-1, batch.answer[:, None])
                    - end.gather(-1, batch.distractor[:, None])
                ).T,
            )
            for batch, end in run
        ],
    )
    np.testing.assert_allclose(found.whole, expected[0], atol=1e-9)


def test_any_metric_is_that_of_the_circuit(model, graph, task):
    metric = lambda batch: AnswerLogProb(batch.answer)  # noqa: E731
    found = evaluate(model, graph, task, [graph.allowed], metric=metric)
    assert (found.whole < 0).all()
    np.testing.assert_allclose(found.metric[0], found.whole)


def test_the_strongest_edges_do_more_than_as_many_random_ones(books):
    model, graph, task = books
    parts = [
        (
            batch,
            eap(
                model, graph, batch, ablation_values(model, graph, task, batch, "resample"), steps=3
            ),
        )
        for batch in by_length(task)
    ]
    scores = np.mean([each.each.mean(0).numpy() for _, each in parts], axis=0)
    kept = graph.pruned(top(-scores, graph.allowed, 200))
    others = random_circuits(graph, kept, 12, seed=1)
    found = evaluate(model, graph, task, [kept, *others]).faithfulness().value
    assert found[0] > 0.5
    assert found[0] > found[1:].max()


@pytest.mark.parametrize("n", [100, 400])
def test_random_circuits_are_connected_of_one_size_and_not_the_one_they_are_drawn_for(books, n):
    _, graph, _ = books
    scores = np.random.default_rng(0).normal(size=graph.allowed.shape)
    kept = graph.pruned(top(scores, graph.allowed, n))
    drawn = random_circuits(graph, kept, 20, seed=2)
    assert {int(each.sum()) for each in drawn} == {int(kept.sum())}
    assert all((graph.pruned(each) == each).all() and (each != kept).any() for each in drawn)
    assert len({each.tobytes() for each in drawn}) == 20
    shared = [float((each & kept).sum() / kept.sum()) for each in drawn]
    assert np.mean(shared) < 0.6


def test_where_there_are_no_random_circuits_that_is_said(books):
    _, graph, _ = books
    with pytest.raises(NotApplicable, match="no other circuit of as many edges"):
        random_circuits(graph, graph.allowed, 3)


def test_circuits_drawn_from_all_edges_alike_are_as_they_come(books):
    _, graph, _ = books
    drawn = uniform_circuits(graph, 20, 40)
    assert {int(each.sum()) for each in drawn} == {20}
    assert np.mean([graph.pruned(each).any() for each in drawn]) < 0.5


def test_where_there_is_no_gap_there_is_no_share_of_it(books):
    """Prompts whose corrupted ones are themselves."""
    model, graph, task = books
    found = evaluate(model, graph, task, [graph.allowed])
    assert found.with_a_gap() is found
    for empty in (found.whole, found.whole + 5):
        with pytest.raises(NotApplicable, match="nothing of which a circuit"):
            replace(found, empty=empty).with_a_gap()


def test_a_choice_needs_a_gap_that_is_there_and_not_one_that_is_sure(books):
    """Two templates: the mean is above zero, and no interval could be."""
    model, graph, task = books
    few = task.only(np.isin(task.clusters, [0, 1]))
    found = evaluate(model, graph, few, [graph.allowed])
    spread = np.where(few.clusters == few.clusters[0], 9.0, -1.0)
    unsure = replace(found, whole=found.empty + spread)
    assert unsure.with_a_gap(sure=False) is unsure
    with pytest.raises(NotApplicable, match="nothing of which a circuit"):
        unsure.with_a_gap()
    with pytest.raises(NotApplicable, match="nothing of which a circuit"):
        replace(found, whole=found.empty - 1).with_a_gap(sure=False)


def test_shares_without_an_interval_are_no_shares(books):
    """One template the wrong way round: the mean gap is sure, and what is divided by it is not."""
    model, graph, task = books
    fresh = task.confirmation
    found = evaluate(model, graph, fresh, [graph.allowed])
    gaps = np.array([1.5, 2.2, 0.3, 0.1, 2.9, -0.6, 0.2, 1.8, 0.4, 2.5, -0.1, 0.9])
    weak = replace(found, whole=found.empty + gaps[fresh.clusters])
    with pytest.raises(NotApplicable, match="have no interval"):
        weak.with_a_gap()
    assert weak.with_a_gap(sure=False) is weak


def test_circuits_are_the_same_however_many_logits_are_held(books, monkeypatch):
    model, graph, task = books
    few = task.only(np.arange(task.n) < 3)
    masks = [graph.allowed, *uniform_circuits(graph, 900, 3)]
    at_once = evaluate(model, graph, few, masks)
    monkeypatch.setattr("interp.circuits.evaluate._LOGITS", 1)
    one_by_one = evaluate(model, graph, few, masks)
    for name in ("metric", "kl", "same", "whole", "empty", "empty_output"):
        np.testing.assert_allclose(getattr(at_once, name), getattr(one_by_one, name), atol=1e-4)
