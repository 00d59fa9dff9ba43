"""Paths come in the order of their weakest edges, and are all there are."""

from itertools import pairwise

import numpy as np
import pytest

import interp
from interp import tasks
from interp.circuits.graph import Graph
from interp.circuits.paths import paths, strongest_edges
from interp.circuits.places import Places


def every_path(graph, kept):
    """All paths from the embedding to the logits, by walking."""

    def onward(column):
        for row in np.flatnonzero(kept[:, column]):
            if row == len(graph.readers) - 1:
                yield ((row, column),)
            for fed in np.flatnonzero(graph.feeds[row]):
                for way in onward(fed):
                    yield ((row, column), *way)

    return list(onward(0))


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama"])
def test_the_strongest_paths_are_those_of_the_strongest_weakest_edges(name):
    graph = Graph.of(interp.load(name))
    random = np.random.default_rng(0)
    scores = random.normal(size=graph.allowed.shape)
    kept = graph.allowed & (random.random(scores.shape) < 0.3)
    kept[-1, 0] = True
    weakest = sorted(min(abs(scores[cell]) for cell in way) for way in every_path(graph, kept))
    found = paths(graph, kept, scores, 12)
    assert [abs(path.weakest) for path in found] == weakest[::-1][:12]
    assert len({path.cells for path in found}) == len(found)
    for path in found:
        assert path.cells in every_path(graph, kept)


def test_with_places_a_path_moves_only_from_keys_to_later_queries():
    model = interp.load("tiny-gpt2")
    task = tasks.build("ioi", model.tokenizer, n=8)
    graph = Graph.of(model).at_places(Places.apart(task))
    scores = np.random.default_rng(3).normal(size=graph.allowed.shape)
    found = paths(graph, graph.allowed, scores, 15)
    weakest = [abs(path.weakest) for path in found]
    assert weakest == sorted(weakest, reverse=True)
    own = np.abs(scores) >= weakest[0]
    assert graph.pruned(own & graph.allowed).any()
    assert not graph.pruned(graph.allowed & (np.abs(scores) > weakest[0])).any()
    for path in found:
        assert path.edges[-1].position == "END"
        for (row, _, at), (_, _, onward) in pairwise(path.cells):
            moves = graph.readers[row].input in ("k", "v")
            assert graph.places.reaches[at, onward] if moves else at == onward


def test_a_path_is_said_by_its_components_and_inputs():
    graph = Graph.of(interp.load("tiny-llama"))
    kept = np.zeros_like(graph.allowed)
    scores = np.zeros(kept.shape)
    rows = {str(each.component) + "." + each.input: i for i, each in enumerate(graph.readers)}
    columns = {str(each): i for i, each in enumerate(graph.writers)}
    for row, column, score in (
        (rows["L0KV1.v"], columns["embed"], -2.0),
        (rows["L1H0.q"], columns["L0H3"], 1.0),
        (len(rows) - 1, columns["L1H0"], -4.0),
    ):
        kept[row, column], scores[row, column] = True, score
    (path,) = paths(graph, kept, scores, 5)
    assert str(path) == "embed → L0H3.v → L1H0.q → logits"
    assert path.scores == (-2.0, 1.0, -4.0)
    assert path.weakest == 1.0


def test_the_edges_of_the_strongest_paths_are_as_many_as_asked_and_lie_on_paths():
    graph = Graph.of(interp.load("tiny-gpt2"))
    scores = np.random.default_rng(1).normal(size=graph.allowed.shape)
    for n in (5, 20, 80, 10_000):
        found = strongest_edges(graph, graph.allowed, scores, n)
        assert 0 < found.sum() <= n
        assert (graph.pruned(found) == found).all()
    best = paths(graph, graph.allowed, scores, 1)[0]
    found = strongest_edges(graph, graph.allowed, scores, 20)
    assert all(found[cell] for cell in best.cells)


def test_an_edge_without_a_score_is_on_no_path():
    graph = Graph.of(interp.load("tiny-gpt2"))
    scores = np.full(graph.allowed.shape, np.nan)
    assert paths(graph, graph.allowed, scores, 3) == []
    assert not strongest_edges(graph, graph.allowed, scores, 20).any()
