"""Searches that remove edges one after the other find what the plain loop finds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import interp
from interp import tasks
from interp.circuits import Graph
from interp.circuits.acdc import acdc, kl, orders, rows
from interp.circuits.greedy import cheapest, greedy
from interp.circuits.naive_acdc import backwards, naive_acdc
from interp.circuits.removal import Search
from interp.circuits.run import BLOCK
from interp.engine.options import options
from interp.errors import UsageError
from interp.metrics import logit_difference

METRICS = {"kl": kl, "logit difference": logit_difference}


def some(name, number=3, kind="ioi"):
    model = interp.load(name, dtype=torch.float64)
    return model, Graph.of(model), tasks.build(kind, model.tokenizer, n=number)


def quantile(search, share):
    """A tau that some edges are below and some above: of the changes of single edges."""
    graph = search.graph
    changes = []
    for row in range(len(graph.readers)):
        columns = np.flatnonzero(graph.allowed[row]).tolist()
        changes += search.tried(row, columns, apart=True)[0]
    return float(np.quantile([each for each in changes if each > 0], share))


@pytest.mark.parametrize("name", ["tiny-llama", "tiny-neox", "tiny-attn-only"])
def test_trials_are_circuits_run_whole(name):
    model, graph, task = some(name)
    search = Search(model, graph, task, 1e-9, "resample", logit_difference, BLOCK)
    random = np.random.default_rng(0)
    late = [row for row in rows(graph) if graph.readers[row].component.layer in (None, 1)][:30]
    for row in late[::7]:
        # Whatever of later edges is gone.
        search.kept = graph.allowed & (
            (np.arange(len(graph.readers))[:, None] <= row)
            | (random.random(graph.allowed.shape) < 0.4)
        )
        search._settle()
        columns = np.flatnonzero(graph.allowed[row])[::-1][:4].tolist()
        for apart in (False, True):
            found, trials = search.tried(row, columns, apart=apart)
            masks = []
            for number in range(len(columns)):
                mask = search.kept.copy()
                mask[row, columns[number : number + 1] if apart else columns[: number + 1]] = False
                masks.append(mask)
            np.testing.assert_allclose(found, search.whole(masks), rtol=0, atol=1e-10)
        for part, trial in zip(search.parts, trials, strict=True):
            part.standing.accept(trial, 1)
        search.kept = masks[1]
        now, _ = search.tried(row, columns[:1])
        less = search.kept.copy()
        less[row, columns[0]] = False
        np.testing.assert_allclose(now, search.whole([less]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["tiny-attn-only"])
def test_the_circuit_is_that_of_the_plain_loop(name, metric):
    model, graph, task = some(name, 2)
    search = Search(model, graph, task, 1e-9, "resample", METRICS[metric], BLOCK)
    tau = quantile(search, 0.6)
    found = acdc(model, graph, task, tau, metric=METRICS[metric])
    plain = naive_acdc(
        graph.allowed,
        rows(graph),
        tau,
        lambda mask: search.whole([mask])[0],
        backwards(graph.allowed),
    )
    assert 0 < plain.sum() < graph.n_edges
    assert (found.kept == plain).all()
    assert found.distance == pytest.approx(search.whole([plain])[0], abs=1e-12)
    counts = found.counts
    assert counts.evaluated == graph.n_edges
    assert counts.speculated == counts.evaluated + counts.wasted


def test_greedy_asks_the_cheapest_first():
    model, graph, task = some("tiny-attn-only", 2)
    search = Search(model, graph, task, 1e-9, "resample", kl, BLOCK)
    tau = quantile(search, 0.6)

    def order(row, kept):
        columns = np.flatnonzero(graph.allowed[row])[::-1]
        masks = []
        for column in columns:
            mask = kept.copy()
            mask[row, column] = False
            masks.append(mask)
        return [int(columns[at]) for at in cheapest(search.whole(masks), tau)]

    plain = naive_acdc(graph.allowed, rows(graph), tau, lambda mask: search.whole([mask])[0], order)
    assert (greedy(model, graph, task, tau).kept == plain).all()
    assert cheapest([3.0, 1.0, 2.0, 1.0 + 1e-9], 1.0) == [1, 3, 2, 0]


def test_a_search_that_was_cut_off_goes_on(tmp_path):
    model, graph, task = some("tiny-attn-only", 2)
    tau, told = 0.02, []
    whole = acdc(model, graph, task, tau)

    def stop(done, total, what):
        told.append((done, total, what))
        if done > graph.n_edges // 2:
            raise KeyboardInterrupt

    with options(checkpoints=tmp_path, progress=stop), pytest.raises(KeyboardInterrupt):
        acdc(model, graph, task, tau)
    assert told[0][1:] == (graph.n_edges, "edges")
    (state,) = tmp_path.iterdir()
    begun = json.loads(state.read_text(encoding="utf-8"))["done"]
    assert 0 < begun < len(graph.readers)
    asked = []
    with options(checkpoints=tmp_path, progress=lambda done, total, what: asked.append(done)):
        again = acdc(model, graph, task, tau)
        first = asked[0]
        acdc(model, graph, task, 2 * tau)
    assert first > graph.n_edges // 4
    assert (again.kept == whole.kept).all()
    assert again.counts.evaluated == graph.n_edges
    assert len(list(tmp_path.iterdir())) == 2


def test_the_influence_of_the_order_of_heads_is_a_table():
    model, graph, task = some("tiny-attn-only", 2)
    first, second = (acdc(model, graph, task, 0.02, backward=each) for each in (True, False))
    assert sorted(rows(graph, False)) == sorted(rows(graph))
    table = orders(first, second)
    assert list(table) == ["order", "edges", "distance", "overlap"]
    assert 0 <= table["overlap"][0] == table["overlap"][1] <= 1
    assert orders(first, first)["overlap"][0] == 1


def test_what_cannot_be_searched_is_said_in_one_sentence():
    model, graph, task = some("tiny-attn-only", 2)
    for tau in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="tau is a number above 0"):
            acdc(model, graph, task, tau)
    with pytest.raises(UsageError, match="below the distance of the empty circuit"):
        greedy(model, graph, task, 1e6)
    same = tuple(replace(each, corrupted_tokens=each.clean_tokens) for each in task.prompts)
    with pytest.raises(UsageError, match="as near to the whole model as rounding"):
        acdc(model, graph, replace(task, prompts=same), 0.1)
