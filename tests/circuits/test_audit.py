"""An audit is a sample of known probabilities, and says of the whole graph what the whole graph would say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import interp
from interp import tasks
from interp.circuits import Graph
from interp.circuits.agreement import ALL, Columns, rows
from interp.circuits.audit import STRATA, ZERO, agreement, audit_scores, sample
from interp.circuits.exact import edge_effects
from interp.circuits.search import edge_scores
from interp.effects import Effects
from interp.errors import UsageError
from interp.stats import cluster_means


@pytest.fixture(scope="module")
def books():
    return Graph.of(interp.load("books-gpt2"))


@pytest.fixture(scope="module")
def small():
    model = interp.load("tiny-attn-only", dtype=torch.float64)
    return model, Graph.of(model), tasks.build("ioi", model.tokenizer, n=12)


def drawn(graph, seed=0, nothing=0.6):
    """Scores of which most are nearly nothing."""
    random = np.random.default_rng(seed)
    values = random.normal(size=graph.allowed.shape) ** 3
    return np.where(random.random(graph.allowed.shape) < nothing, ZERO * values / 100, values)


def test_every_edge_is_drawn_with_the_probability_that_is_said(books):
    means = drawn(books)
    chosen = sample(books, means, 300)
    counts = pd.Series([each.kind for each in chosen]).value_counts()
    assert [int(counts[kind]) for kind in STRATA] == [100, 100, 100]
    assert sum(1 / each.probability for each in chosen) == pytest.approx(books.n_edges)
    size = {kind: [abs(means[e.cell]) for e in chosen if e.kind == kind] for kind in STRATA}
    largest = max(size["strongest"])
    assert max(size["zero"]) <= ZERO * largest < min(size["random"])
    assert max(size["random"]) <= min(size["strongest"])
    assert {each.probability for each in chosen if each.kind == "strongest"} == {1.0}
    # Over many draws each edge comes as often as it should.
    times = {}
    for seed in range(60):
        for each in sample(books, means, 300, seed):
            times[each.cell] = times.get(each.cell, 0) + 1 / each.probability / 60
    found = np.array([times.get(cell, 0) for cell in books.cells()])
    assert abs(found.mean() - 1) < 1e-9
    assert found.std() < 0.7


def test_edges_without_a_score_are_none_and_a_small_graph_is_audited_whole(books, small):
    means = drawn(books)
    unscored = [each.input in "qk" for each in books.readers]
    means[unscored] = np.nan
    chosen = sample(books, means, 300)
    assert not any(unscored[each.cell[0]] for each in chosen)
    assert sum(1 / each.probability for each in chosen) == pytest.approx(
        int(books.allowed[~np.array(unscored)].sum())
    )
    _, graph, _ = small
    whole = sample(graph, drawn(graph), 300)
    assert sorted(each.cell for each in whole) == graph.cells()
    assert {each.probability for each in whole} == {1.0}
    with pytest.raises(UsageError, match="none has one"):
        sample(graph, np.full(graph.allowed.shape, np.nan), 300)


def test_the_whole_graph_is_said_as_it_is_by_its_sample(books):
    """The mean over draws is that of all edges, and intervals hold it as often as they say."""
    means = drawn(books, nothing=0.2)
    random = np.random.default_rng(1)
    exact = 0.5 * means + 0.2 * random.normal(size=means.shape)
    cells = books.cells()
    truth = _row(means, exact, cells, [1.0] * len(cells), ["random"] * len(cells))
    found, inside = [], 0
    for seed in range(15):
        chosen = sample(books, means, 90, seed)
        row = _row(
            means, exact, *zip(*[(e.cell, e.probability, e.kind) for e in chosen], strict=True)
        )
        found.append(row["mean_error"])
        inside += row["mean_error_low"] <= truth["mean_error"] <= row["mean_error_high"]
    assert np.mean(found) == pytest.approx(truth["mean_error"], rel=0.05)
    assert inside >= 11


def _row(means, exact, cells, probability, kinds):
    x, y = (np.array([values[cell] for cell in cells])[:, None] for values in (means, exact))
    # Many templates that agree: the interval is that of which edges were drawn.
    columns = Columns(lambda left_out: (x, y, np.ones(1)), 9)
    table = pd.DataFrame(rows(list(kinds), np.array(probability), columns)).set_index("kind")
    return table.loc[ALL]


def test_agreement_by_hand():
    table = pd.DataFrame(
        {
            "kind": ["strongest", "strongest", "zero", "zero"],
            "score": [4.0, -2.0, 0.0, 0.0],
            "exact": [2.0, -1.0, 0.0, 3.0],
            "probability": [1.0, 1.0, 0.5, 0.5],
        }
    )
    found = agreement(table).set_index("kind")
    assert found.loc["strongest", ["slope", "pearson", "same_sign"]].tolist() == [0.5, 1, 1]
    assert found.loc["strongest", "mean_error"] == 1.5
    assert np.isnan(found.loc["zero", "slope"])
    assert found.loc["zero", "same_sign"] == 0.5
    whole = found.loc["all edges"]
    # Two of the strongest, and each of the others for two: six edges.
    assert whole["slope"] == pytest.approx((4 * 2 + 2 * 1) / (16 + 4))
    assert whole["same_sign"] == pytest.approx((1 + 1 + 2) / 6)
    assert whole["mean_error"] == pytest.approx((2 + 1 + 0 + 2 * 3) / 6)
    assert whole["largest_error"] == 3
    # Of the top two by exact effect, which is all drawn for one edge, none is among those by score.
    assert whole["top_overlap"] == 0


def test_top_edges_of_a_sampled_stratum_are_a_tenth_of_its_edges_and_not_one_of_those_drawn():
    random = np.random.default_rng(2)
    score = random.normal(size=100)
    exact = score + 0.1 * random.normal(size=100)
    table = pd.DataFrame({"kind": "random", "score": score, "exact": exact, "probability": 0.01})
    found = agreement(table).set_index("kind").loc["random", "top_overlap"]
    tops = [set(np.argsort(-np.abs(each))[:10]) for each in (score, exact)]
    assert found == pytest.approx(len(tops[0] & tops[1]) / 10)
    assert found < 1 or tops[0] == tops[1]


def test_an_audit_is_of_exact_effects_on_means_and_on_prompts(small):
    model, graph, task = small
    scores = edge_scores(model, graph, task)
    done = audit_scores(model, graph, task, scores, 300)
    exact = edge_effects(model, graph, task, done.edges).values
    np.testing.assert_allclose(done.exact, exact, rtol=0, atol=1e-12)
    table = done.frame()
    np.testing.assert_allclose(table["exact"], cluster_means(exact, task.clusters).mean(-1))
    assert list(table)[-4:] == ["kind", "score", "exact", "probability"]
    found = done.agreement().set_index(["over", "kind"])
    assert len(found) == 2 * (len(STRATA) + 1)
    alone = agreement(table).set_index("kind")
    assert done.slope == pytest.approx(found.loc[("means", ALL), "slope"])
    exact_of = done.on(graph)
    assert [exact_of[graph.at(edge)] for edge in done.edges] == table["exact"].tolist()
    assert np.isfinite(exact_of).sum() == len(done.edges)
    names = ["slope", "pearson", "same_sign", "top_overlap", "mean_error", "largest_error"]
    pd.testing.assert_frame_equal(found.loc["means"][names], alone[names])
    for name in names[:-1]:
        assert (found[f"{name}_low"] <= found[name]).all()
        assert (found[name] <= found[f"{name}_high"]).all()
    # By hand: every prompt of the whole graph, templates weighing alike.
    x, y = done.score, done.exact
    weights = 1 / np.bincount(np.unique(task.clusters, return_inverse=True)[1])
    weights = weights[np.unique(task.clusters, return_inverse=True)[1]]
    slope = (x * y * weights).sum() / (x * x * weights).sum()
    assert found.loc[("prompts", ALL), "slope"] == pytest.approx(slope)
    perfect = audit_scores(model, graph, task, Effects(exact, done.edges, task), 300).agreement()
    np.testing.assert_allclose(perfect[["slope", "pearson", "same_sign", "top_overlap"]], 1)
    np.testing.assert_allclose(perfect["slope_high"] - perfect["slope_low"], 0, atol=1e-9)
    with pytest.raises(UsageError, match="the task's own 12 prompts"):
        audit_scores(
            model, graph, task, Effects(exact[:, :3], done.edges, task.only(np.arange(12) < 3))
        )
    turned = replace(task, prompts=tuple(reversed(task.kept)))
    with pytest.raises(UsageError, match="got some on 12 others"):
        audit_scores(model, graph, task, Effects(exact, done.edges, turned))
