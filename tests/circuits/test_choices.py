"""What else a circuit is held against: other choices of it, itself without an edge, and the model without
its components."""

import numpy as np
import pytest

import interp
from interp import tasks
from interp.circuits import Graph
from interp.circuits.completeness import completeness
from interp.circuits.elsewhere import chosen_again, of_another_task
from interp.circuits.evaluate import evaluate
from interp.circuits.minimality import minimality, needed, sampled
from interp.circuits.search import edge_scores, mean_scores, strongest
from interp.circuits.stability import compared, jaccard, resampled
from interp.effects import Effects
from interp.errors import NotApplicable, UsageError


@pytest.fixture(scope="module")
def tiny():
    model = interp.load("tiny-gpt2")
    graph = Graph.of(model)
    task = tasks.build("ioi", model.tokenizer, n=8)
    scores = edge_scores(model, graph, task)
    return model, graph, task, scores, strongest(graph, mean_scores(graph, scores), 0.1)


def test_edges_that_all_templates_have_are_stable_and_those_of_one_are_not(tiny):
    _, graph, task, _, _ = tiny
    cells = graph.cells()
    values = np.zeros((len(cells), task.n))
    last = len(graph.readers) - 1
    # Straight into the logits, so that none is a dead end: one edge of every template, one of a single one.
    always, once = cells.index((last, 0)), cells.index((last, 1))
    into = graph.feeds[:, 1].nonzero()[0][0]
    values[always], values[cells.index((into, 0))] = -2, -1
    values[once, task.clusters == 0] = -100
    found = Effects(values, graph.edges(), task)
    kept = strongest(graph, mean_scores(graph, found), 3 / graph.n_edges)
    again = resampled(graph, found, kept, 3 / graph.n_edges, draws=200)
    assert again.share[last, 0] == 1
    assert again.stable[last, 0]
    n = again.templates
    expected = 1 - (1 - 1 / n) ** n
    assert again.share[last, 1] == pytest.approx(expected, abs=0.1)
    assert not again.stable[last, 1]
    assert set(compared(kept, again, {"same": kept})["jaccard"]) == {1.0}
    assert np.isnan(again.share[~graph.allowed]).all()


def test_one_template_tells_nothing_of_stability(tiny):
    _, graph, task, scores, kept = tiny
    one = scores.where(task.clusters == 0)
    assert not resampled(graph, one, kept, 0.1).stable.any()
    with pytest.raises(UsageError, match="at least 20"):
        resampled(graph, scores, kept, 0.1, draws=19)


def test_jaccard_is_of_edges_in_both_among_those_in_either():
    one, other = np.array([[True, True, False]]), np.array([[False, True, True]])
    assert jaccard(one, other) == 1 / 3
    assert jaccard(one & ~one, other & ~other) == 1


def test_what_an_edge_adds_is_that_of_the_circuit_with_and_without_it(tiny):
    model, graph, task, scores, kept = tiny
    means = mean_scores(graph, scores)
    found = minimality(model, graph, task, kept, means, number=6)
    removed, added = (found[found["kind"] == kind] for kind in ("removed", "added"))
    assert len(removed) == 6
    assert len(added) == 39
    rows = [removed.iloc[0], added.iloc[0]]
    for row, sign in zip(rows, (1, -1), strict=True):
        (cell,) = (
            cell
            for cell in graph.cells()
            if list(graph.edge(*cell).columns().values())[:3]
            == [row["writer"], row["reader"], row["input"]]
        )
        mask = kept.copy()
        mask[cell] = not mask[cell]
        done = evaluate(model, graph, task, [kept, mask])
        by_hand = sign * (done.metric[0] - done.metric[1])
        clusters = [by_hand[task.clusters == each].mean() for each in np.unique(task.clusters)]
        assert row["effect"] == pytest.approx(np.mean(clusters), abs=1e-5)
    assert 0 <= needed(found) <= 1


def test_a_sample_of_edges_has_its_probabilities():
    kept = np.ones((20, 20), dtype=bool)
    scores = np.arange(400.0).reshape(20, 20)
    found = sampled(kept, scores, 90)
    assert len(found) == 90
    sure = [cell for cell, probability in found.items() if probability == 1]
    assert {scores[cell] for cell in sure} == set(range(370, 400))
    assert sum(1 / each for each in found.values()) == pytest.approx(400)


def test_the_whole_model_has_nothing_missing_and_a_part_of_it_has(tiny):
    model, graph, task, _, kept = tiny
    done = completeness(model, graph, task, graph.allowed, task, random=1)
    np.testing.assert_allclose(done["difference"], 0, atol=1e-5)
    assert list(done["kind"]) == ["layer"] * model.config.n_layers + ["random", "greedy"]
    part = completeness(model, graph, task, kept, task, random=1)
    worst = part.set_index("kind")["difference"].abs()
    assert worst["greedy"] > 0
    # Without a layer's writers: their columns are gone from both.
    first = part.iloc[0]
    members = kept.any(0) & np.array([each.layer == 0 for each in graph.writers])
    masks = [np.where(members, False, each) for each in (kept, graph.allowed)]
    metric = evaluate(model, graph, task, masks).metric
    means = [
        np.mean([row[task.clusters == each].mean() for each in np.unique(task.clusters)])
        for row in metric
    ]
    assert [first["circuit"], first["model"]] == pytest.approx(means, abs=1e-5)


def test_a_role_is_of_components_that_the_circuit_has(tiny):
    model, graph, task, _, kept = tiny
    inside = [graph.writers[each] for each in np.flatnonzero(kept.any(0))[1:3]]
    done = completeness(model, graph, task, kept, task, roles={"movers": inside}, random=1)
    assert list(done.loc[done["kind"] == "role", "removed"]) == ["movers"]
    outside = [graph.writers[each] for each in np.flatnonzero(~kept.any(0))[:1]]
    with pytest.raises(UsageError, match="the role 'movers' has"):
        completeness(model, graph, task, kept, task, roles={"movers": outside}, random=1)
    with pytest.raises(UsageError, match="has no component"):
        completeness(model, graph, task, kept & False, task)


def test_another_tasks_circuit_is_of_one_that_the_model_passes(tiny):
    model, graph, task, _, _ = tiny
    with pytest.raises(NotApplicable, match="passes the gate of no other task than ioi"):
        of_another_task(model, graph, task, 0.1, among=["ioi", "greater_than"])


def test_a_choice_is_made_again_on_the_other_half_and_with_other_ablations(tiny):
    model, graph, task, _, _ = tiny
    found = chosen_again(model, graph, task, 0.1)
    assert set(found) == {"the other half", "zero ablation", "mean ablation"}
    half = task.only(task.where(half="held_out"))
    means = mean_scores(graph, edge_scores(model, graph, half))
    assert (found["the other half"] == strongest(graph, means, 0.1)).all()
