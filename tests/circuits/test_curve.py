"""Areas under curves of circuits: trapezoids by hand, on the fractions that are kept."""

import numpy as np
import pytest

import interp
from interp.circuits import Graph
from interp.circuits.curve import area, areas, kept_share


def test_an_area_is_of_trapezoids_on_a_linear_axis():
    assert area([0.1, 1.0], [0.5, 1.0]) == pytest.approx(0.9 * 0.75)
    assert area([1.0, 0.5, 0.0], [1.0, 2.0, 0.0]) == pytest.approx(0.5 * 1.5 + 0.5 * 1.0)


def test_an_edge_into_shared_keys_counts_once_for_each_query_head():
    graph, private = (Graph.of(interp.load("tiny-llama"), private=each) for each in (False, True))
    kept = np.zeros_like(graph.allowed)
    rows = [row for row, each in enumerate(graph.readers) if each.input in ("k", "v")]
    kept[rows] = graph.allowed[rows]
    per_head = [row for row, each in enumerate(private.readers) if each.input in ("k", "v")]
    expected = private.allowed[per_head].sum() / private.n_edges
    assert kept_share(graph, kept, "edges per query head") == pytest.approx(expected)
    assert kept_share(graph, kept) == pytest.approx(kept.sum() / graph.n_edges)
    assert expected > kept.sum() / graph.n_edges


def test_areas_are_of_each_ranking_with_the_whole_model_as_the_last_point():
    graph = Graph.of(interp.load("tiny-gpt2"))
    half = np.zeros_like(graph.allowed)
    half[tuple(np.argwhere(graph.allowed)[: graph.n_edges // 2].T)] = True
    empty = np.zeros_like(half)
    found = areas(
        graph,
        {
            "signed": ([empty, half], np.array([0.0, 1.5])),
            "magnitude": ([empty, half], np.array([0.0, 1.0])),
        },
    ).set_index(["ranking", "axis"])
    assert found.loc[("signed", "edges"), "cpr"] == pytest.approx(0.5 * 0.75 + 0.5 * 1.25)
    assert found.loc[("signed", "edges"), "cmd"] == pytest.approx(0.5 * 0.75 + 0.5 * 0.25)
    assert found.loc[("magnitude", "edges"), "cmd"] == pytest.approx(0.25)
    assert (found["sizes"] == 3).all()
    # Every head has its own keys: both axes are one.
    for name in ("signed", "magnitude"):
        same = found.loc[name]
        assert same.loc["edges", "cpr"] == same.loc["edges per query head", "cpr"]
