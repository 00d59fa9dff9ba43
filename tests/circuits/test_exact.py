"""The exact effect of an edge is that of the circuit that lacks it."""

import numpy as np
import pytest
import torch

import interp
from interp import components, tasks
from interp.circuits import Edge, Graph
from interp.circuits.evaluate import evaluate
from interp.circuits.exact import edge_effects, into, out_of
from interp.errors import UsageError
from interp.methods.ablate import KINDS
from interp.metrics import KLToBase, logit_difference

NEAR = 1e-9


def without(graph, edges):
    masks = []
    for edge in edges:
        mask = graph.allowed.copy()
        mask[graph.at(edge)] = False
        masks.append(mask)
    return masks


def some(graph, number, seed=0):
    edges = graph.edges()
    return [edges[at] for at in np.random.default_rng(seed).permutation(len(edges))[:number]]


def slow(model, graph, task, edges, kind="resample", metric=logit_difference):
    found = evaluate(model, graph, task, without(graph, edges), kind, metric=metric)
    return found.metric - found.whole


def test_an_effect_is_that_of_the_circuit_without_the_edge(model, graph, task):
    edges = [*some(graph, 8), into(graph, components.Logits())[0]]
    found = edge_effects(model, graph, task, edges)
    np.testing.assert_allclose(found.values, slow(model, graph, task, edges), rtol=0, atol=NEAR)
    assert np.abs(found.values).max() > 1e-6


@pytest.fixture(scope="module")
def llama():
    """Heads that share keys, rotary positions, a gated MLP."""
    model = interp.load("tiny-llama", dtype=torch.float64)
    return model, tasks.build("ioi", model.tokenizer, n=4)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_so_for_every_ablation_for_private_copies_and_for_any_metric(llama, kind, private):
    model, task = llama
    graph = Graph.of(model, private=private)
    edges = [each for each in some(graph, 30) if each.input in "kv" or not private][:6]
    found = edge_effects(model, graph, task, edges, kind, metric=lambda batch: KLToBase())
    np.testing.assert_allclose(
        found.values,
        slow(model, graph, task, edges, kind, lambda batch: KLToBase()),
        rtol=0,
        atol=NEAR,
    )
    assert (found.unit, found.signed) == ("nats", False)


def test_edges_of_chosen_nodes_are_among_all_edges():
    model = interp.load("tiny-attn-only", dtype=torch.float64)
    graph, task = Graph.of(model), tasks.build("ioi", model.tokenizer, n=4)
    head = components.Head(1, 0)
    assert {edge.reader for edge in into(graph, head)} == {head}
    both = out_of(graph, head, components.Embedding())
    assert len(both) == int(graph.allowed[:, [0, graph.writers.index(head)]].sum())
    every = edge_effects(model, graph, task)
    assert every.components == graph.edges()
    rows = [every.components.index(edge) for edge in both]
    found = edge_effects(model, graph, task, both).values
    np.testing.assert_allclose(found, every.values[rows], rtol=0, atol=NEAR)


def test_an_edge_read_at_one_position_is_a_part_of_the_edge(llama):
    """Into the queries of the last layer only what is read at END reaches the metric."""
    model, task = llama
    graph, last = Graph.of(model), model.config.n_layers - 1
    edges = [each for each in some(graph, 99) if (each.reader.layer, each.input) == (last, "q")][:6]
    whole = edge_effects(model, graph, task, edges).values
    end = edge_effects(model, graph, task, edges, at="END").values
    np.testing.assert_allclose(end, whole, rtol=0, atol=NEAR)
    first = edge_effects(model, graph, task, edges, at="first").values
    assert np.abs(first).max() <= NEAR < np.abs(end).max()


def test_prompts_of_several_lengths_and_little_memory_change_nothing(llama):
    model, _ = llama
    graph, task = Graph.of(model), tasks.build("gendered_pronoun", model.tokenizer, n=6)
    edges = some(graph, 8, seed=1)
    found = edge_effects(model, graph, task, edges).values
    np.testing.assert_allclose(found, slow(model, graph, task, edges), rtol=0, atol=NEAR)
    small = edge_effects(model, graph, task, edges, memory=4 << 20).values
    np.testing.assert_allclose(small, found, rtol=0, atol=NEAR)


def test_what_is_no_edge_is_refused(llama):
    model, task = llama
    graph = Graph.of(model)
    with pytest.raises(UsageError, match="is not computed before"):
        edge_effects(model, graph, task, [Edge(components.Head(1, 0), components.Head(0, 0), "q")])
    with pytest.raises(UsageError, match="L9H0 writes nothing in this graph"):
        out_of(graph, components.Head(9, 0))
    with pytest.raises(UsageError, match="L9 MLP reads nothing|MLP.* reads nothing in this graph"):
        into(graph, components.MLP(9))
    with pytest.raises(UsageError, match="no position is called 'S9'"):
        edge_effects(model, graph, task, graph.edges()[:1], at="S9")
    assert torch.is_grad_enabled()
