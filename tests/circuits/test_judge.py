"""The judge of circuits: its rule by hand, what is planted is found, and what is random is not."""

import numpy as np
import pytest
import torch

import interp
from interp import tasks
from interp.circuits import Graph, prompts
from interp.circuits import evaluate as room
from interp.circuits.audit import STRATA, agreement, audited, drawn, exact_effects
from interp.circuits.evaluate import Evaluation
from interp.circuits.graph import top
from interp.circuits.judge import judge
from interp.circuits.rule import decide, rank
from interp.circuits.run import run_circuits
from interp.circuits.search import (
    Found,
    edge_scores,
    mean_scores,
    of_size,
    smallest,
    strongest,
)
from interp.circuits.written import ablation_values
from interp.errors import NotApplicable, UsageError
from interp.linear import frozen
from interp.metrics import logit_difference, measured
from interp.stats import Estimate
from interp.tasks.batches import by_length


@pytest.fixture(scope="module")
def books():
    model = interp.load("books-gpt2")
    task = tasks.build("gendered_pronoun", model.tokenizer, n=16)
    return model, Graph.of(model), task


def ruled(low, high, *, reach=0, controls=39, clusters=12):
    """What the rule says of this interval of faithfulness where so many of the controls reach the circuit."""
    middle = np.array((low + high) / 2)
    share = Estimate(middle, np.array(low), np.array(high), 72, clusters, "by hand")
    ahead = np.where(np.arange(controls) < reach, 0.0, 0.1)
    return decide(share, ahead, 0.8).verdict


def test_supported_is_an_interval_within_bounds_and_above_random_circuits():
    assert ruled(0.85, 1.1) == "supported"
    assert ruled(0.75, 1.1) == "inconclusive"
    assert ruled(0.9, 1.25) == "inconclusive"
    assert ruled(0.85, 1.1, reach=1) == "inconclusive"
    assert ruled(0.85, 1.1, clusters=7) == "inconclusive"
    assert ruled(np.nan, np.nan) == "inconclusive"


def test_not_supported_is_an_interval_outside_of_a_circuit_that_random_ones_do_not_reach():
    assert ruled(0.5, 0.79) == "not supported"
    assert ruled(1.21, 1.7) == "not supported"
    assert ruled(0.5, 0.81) == "inconclusive"
    assert ruled(0.0, 0.01, reach=20) == "inconclusive"


def test_more_random_circuits_make_the_rule_no_stricter():
    """One in forty may reach the circuit, however many there are."""
    for controls, most in ((39, 0), (79, 1), (199, 4), (999, 24)):
        assert ruled(0.85, 1.1, reach=most, controls=controls) == "supported"
        assert ruled(0.85, 1.1, reach=most + 1, controls=controls) == "inconclusive"


def test_a_rank_counts_the_random_circuits_that_are_not_surely_behind():
    assert rank(np.array([0.1, 0.0, -0.2])) == 3 / 4
    assert rank(np.array([0.1, 0.2, 0.3])) == 1 / 4
    assert rank(np.array([np.nan, 0.2, 0.3])) == 2 / 4


def test_differences_are_paired_by_template():
    """Two circuits a hair apart on templates that are far apart: each interval is wide, that of their
    difference is not."""
    task = tasks.build("ioi", interp.load("tiny-gpt2").tokenizer, n=16)
    size = task.clusters.astype(float)
    random = np.random.default_rng(0)
    near = size + random.normal(scale=0.01, size=len(size))
    found = Evaluation(
        task,
        np.stack([near + 0.2, near]),
        np.zeros((2, task.n)),
        np.ones((2, task.n)),
        np.full(task.n, size.mean()),
        np.zeros(task.n),
        np.zeros((2, task.n)),
    )
    ahead, each = found.ahead(), found.faithfulness()
    assert each.low[0] < each.value[1] < each.high[0]
    assert ahead.low[0] > 0.9 * ahead.value[0] > 0


@pytest.mark.slow
def test_a_circuit_of_a_real_model_is_found_and_a_random_one_is_not(books):
    model, graph, task = books
    half = task.only(task.where(half="discovery"))
    means = mean_scores(graph, edge_scores(model, graph, half, steps=3))
    fractions = (0.005, 0.02)
    found = smallest(model, graph, half, means, 0.8, fractions=fractions)
    assert found.sizes.keys() == set(fractions)
    fresh = task.confirmation
    said = judge(model, graph, fresh, found, 0.8, of_a_size=3)
    assert said.verdict == "supported"
    assert said.largest_error < 1e-3
    assert said.curve["faithfulness"][:2].is_monotonic_increasing
    assert said.areas["cpr"].between(0.9, 1.1).all()
    # A part of the circuit does surely too little, and more than what is random.
    few = strongest(graph, means, 0.002)
    part = Found(few, 0.002, {}, None)
    assert judge(model, graph, fresh, part, 0.8).verdict == "not supported"
    # As many edges at random do nothing, as other random ones do.
    weak = strongest(graph, np.random.default_rng(0).normal(size=means.shape), 0.05)
    nothing = judge(model, graph, fresh, Found(weak, 0.2, {}, None), 0.8)
    assert nothing.verdict == "inconclusive"
    assert "cannot be told from it" in nothing.ruling.why


def test_exact_effects_are_those_of_circuits_without_one_edge(model, graph, task):
    cells = [graph.cells()[at] for at in (0, 3, graph.n_edges - 1)]
    found = exact_effects(model, graph, task, cells)
    for batch in by_length(task):
        other = ablation_values(model, graph, task, batch, "resample")
        for row, cell in enumerate(cells):
            mask = graph.allowed.copy()
            mask[cell] = False
            real = torch.ones_like(batch.clean[:, :1], dtype=torch.bool)
            ends = [
                measured(logit_difference(batch), logits, real)
                for logits in run_circuits(model, graph, batch.clean, other, [mask, graph.allowed])
            ]
            np.testing.assert_allclose(
                found[row, list(batch.indices)], ends[0] - ends[1], atol=1e-9
            )


def test_an_audit_has_a_third_of_each_stratum(books):
    _, graph, _ = books
    means = np.where(graph.allowed, np.random.default_rng(1).normal(size=graph.allowed.shape), 0)
    strata = drawn(graph, means, 30)
    sizes = [abs(means[cell]) for cell in strata]
    assert [list(strata.values()).count(name) for name in STRATA] == [10, 10, 10]
    assert min(sizes[:10]) > max(sizes[10:20]) > min(sizes[10:20]) > max(sizes[20:])


def test_an_audit_sees_scores_that_are_wrong(model, graph, task):
    """Scores ten times too large have a slope of a tenth, whatever their order."""
    means = mean_scores(graph, edge_scores(model, graph, task))
    one = audited(model, graph, task, means, 60)
    ten = audited(model, graph, task, 10 * means, 60)
    np.testing.assert_allclose(one["exact"], ten["exact"])
    slopes = [
        agreement(each, graph.n_edges).set_index("kind")["slope"]["all edges"]
        for each in (one, ten)
    ]
    assert slopes[1] == pytest.approx(slopes[0] / 10)
    names = ["writer", "reader", "input", "kind", "score", "exact", "probability"]
    assert list(one.columns) == names
    same = agreement(one.assign(exact=one["score"]), graph.n_edges)
    np.testing.assert_allclose(same["slope"], 1)
    np.testing.assert_allclose(same["largest_error"], 0)


def test_a_run_of_circuits_that_is_wrong_is_seen_beside_the_whole_model(books, monkeypatch):
    """Attention of half the size: the full circuit is no longer the model."""
    model, graph, task = books
    right = prompts._mixed
    exact = room.evaluate(model, graph, task, [graph.allowed])
    monkeypatch.setattr(prompts, "_mixed", lambda *given: right(*given) / 2)
    wrong = room.evaluate(model, graph, task, [graph.allowed])
    assert np.abs(exact.metric[0] - exact.whole).max() < 1e-4
    assert np.abs(wrong.metric[0] - wrong.whole).max() > 0.1


def test_sizes_that_leave_nothing_are_not_chosen(books):
    model, graph, task = books
    half = task.only(task.where(half="discovery"))
    means = np.where(graph.allowed, np.random.default_rng(1).normal(size=graph.allowed.shape), 0)
    found = smallest(model, graph, half, means, 0.8, fractions=(0.005, 0.05, 0.1))
    assert found.kept.any()
    with pytest.raises(NotApplicable, match="leaves a path"):
        smallest(model, graph, half, means, 0.8, fractions=(0.001,))


def test_edges_without_a_score_stay_outside(books):
    model, graph, task = books
    scores = edge_scores(model, graph, task, rules=frozen("pattern"))
    means = mean_scores(graph, scores)
    unscored = np.array([each.input in ("q", "k") for each in graph.readers])
    assert np.isnan(means[unscored][graph.allowed[unscored]]).all()
    assert len(scores) == int(graph.allowed[~unscored].sum())
    assert not top(-means, graph.allowed, 10**6)[unscored].any()
    assert all(graph.readers[row].input not in ("q", "k") for row, _ in drawn(graph, means, 30))


def test_a_size_fixed_beforehand_is_kept_without_dead_ends_and_in_range(books):
    _, graph, _ = books
    means = np.where(graph.allowed, np.random.default_rng(1).normal(size=graph.allowed.shape), 0)
    found = of_size(graph, means, 700)
    assert found.chosen_on is None
    assert 0 < found.kept.sum() < 700
    for n in (0, 1520):
        with pytest.raises(UsageError, match=f"1,519 edges: keep 1 to that many, got {n:,}"):
            of_size(graph, means, n)
    for fraction in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="above 0 and at most 1"):
            strongest(graph, means, fraction)
    half = np.where(np.arange(len(graph.readers))[:, None] % 2, means, np.nan)
    with pytest.raises(UsageError, match="have a score by this method"):
        of_size(graph, half, 1500)
