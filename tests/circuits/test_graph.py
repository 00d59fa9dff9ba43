"""The edges of a graph are those that a model has, and what is pruned lies on no path."""

from dataclasses import replace

import numpy as np
import pytest

import interp
from interp.circuits import Edge, Graph
from interp.circuits.graph import top
from interp.components import MLP, Embedding, Head, KVHead, Logits
from interp.errors import UsageError
from interp.transformer import Config

SMOLLM2 = Config(
    n_layers=30, n_heads=9, n_kv_heads=3, d_model=576, d_head=64, d_mlp=1536, d_vocab=9, n_ctx=9
)
GPT2 = Config(n_layers=12, n_heads=12, d_model=768, d_head=64, d_mlp=3072, d_vocab=9, n_ctx=9)
BOOKS = Config(n_layers=4, n_heads=8, d_model=64, d_head=8, d_mlp=64, d_vocab=9, n_ctx=9)


@pytest.mark.parametrize(
    ("config", "shared", "private"),
    [(SMOLLM2, 70_651, 123_211), (GPT2, 32_491, 32_491), (BOOKS, 1_519, 1_519)],
)
def test_models_have_as_many_edges_as_counted_by_hand(config, shared, private):
    assert Graph.of(config).n_edges == shared
    assert Graph.of(config, private=True).n_edges == private


def test_heads_of_a_parallel_block_do_not_feed_its_mlp():
    edge = Edge(Head(2, 1), MLP(2), "mlp")
    sequential, parallel = Graph.of(BOOKS), Graph.of(replace(BOOKS, parallel=True))
    assert sequential.edge(*sequential.at(edge)) == edge
    with pytest.raises(UsageError, match="L2H1 is not computed before L2 MLP reads"):
        parallel.at(edge)
    assert sequential.n_edges - parallel.n_edges == BOOKS.n_layers * BOOKS.n_heads


@pytest.mark.parametrize(
    ("edge", "words"),
    [
        (Edge(Head(2, 1), Head(1, 0), "q"), "is not computed before"),
        (Edge(Head(9, 1), Head(1, 0), "q"), "L9H1 is none of its 37 writers"),
        (Edge(Head(0, 1), KVHead(1, 0), "k"), "L1KV0 has no input 'k' there"),
        (Edge(Head(0, 1), MLP(1), "q"), "L1 MLP has no input 'q' there"),
    ],
)
def test_an_edge_that_there_is_not_is_refused_with_the_reason(edge, words):
    with pytest.raises(UsageError, match=words):
        Graph.of(BOOKS).at(edge)


def test_pruning_leaves_what_lies_on_a_path_from_the_embedding_to_the_logits():
    graph = Graph.of(BOOKS)
    path = [
        Edge(Embedding(), Head(0, 3), "q"),
        Edge(Head(0, 3), Head(2, 5), "v"),
        Edge(Head(2, 5), MLP(2), "mlp"),
        Edge(MLP(2), Logits(), "logits"),
    ]
    dead = [
        Edge(Head(1, 1), Head(2, 5), "q"),  # nothing reaches L1H1
        Edge(Head(0, 3), MLP(1), "mlp"),  # nobody reads the MLP of layer 1
        Edge(Embedding(), Head(3, 0), "q"),
    ]
    assert graph.edges(graph.pruned(graph.mask([*path, *dead]))) == path
    assert not graph.pruned(graph.mask(dead)).any()
    assert graph.pruned(graph.allowed).sum() == graph.n_edges


def test_heads_that_share_keys_are_all_reached_through_them():
    graph = Graph.of(SMOLLM2)
    edges = [
        Edge(Embedding(), KVHead(0, 1), "v"),
        Edge(Head(0, 5), Logits(), "logits"),
        Edge(Head(0, 6), Logits(), "logits"),  # of another group
    ]
    assert graph.edges(graph.pruned(graph.mask(edges))) == edges[:2]


def test_every_model_is_read_as_its_own_graph(model, graph):
    assert len(graph.edges()) == graph.n_edges == len({*graph.edges()})
    for number in (0, graph.n_edges // 2, graph.n_edges - 1):
        edge = graph.edges()[number]
        assert graph.mask([edge]).sum() == 1
    frame = graph.frame({"score": np.arange(graph.allowed.size).reshape(graph.allowed.shape)})
    assert list(frame) == ["writer", "reader", "input", "score"]
    assert len(frame) == graph.n_edges


def test_the_strongest_edges_are_edges():
    graph = Graph.of(BOOKS)
    scores = np.full(graph.allowed.shape, 5.0)
    scores[graph.allowed] = np.arange(graph.n_edges)
    chosen = top(scores, graph.allowed, 10)
    assert sorted(scores[chosen]) == list(range(graph.n_edges - 10, graph.n_edges))
    assert top(scores, graph.allowed, 10**9).sum() == graph.n_edges
    assert not top(scores, graph.allowed, 0).any()


def test_interp_names_the_room():
    assert interp.circuits.Graph is Graph
