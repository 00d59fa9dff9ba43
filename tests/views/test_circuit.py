"""A circuit as blocks: which edges are drawn, how, and beside what."""

import numpy as np
import pandas as pd
import pytest

import interp
from interp import tasks
from interp.circuits.graph import Graph
from interp.circuits.paths import strongest_edges
from interp.circuits.places import Places
from interp.components import Head
from interp.report import Curve
from interp.views import circuit as views
from interp.views import circuit_graph as drawn


@pytest.fixture(scope="module")
def graph():
    return Graph.of(interp.load("tiny-llama"))


@pytest.fixture(scope="module")
def scores(graph):
    return np.random.default_rng(0).normal(size=graph.allowed.shape) ** 3


def test_the_figure_has_the_strongest_paths_and_more_on_demand(graph, scores):
    block = drawn.graph(graph, graph.allowed, scores, "logits", 12)
    first = [edge for edge in block.edges if not edge.more]
    cells = {(edge.source, edge.weight, edge.via) for edge in first}
    assert 0 < len(cells) <= 12
    assert len(block.edges) > len(first)
    assert f" of {graph.n_edges:,} edges" in block.title
    every = scores[strongest_edges(graph, graph.allowed, scores, 12)]
    assert {edge.weight for edge in first} == set(every.tolist())


def test_rows_are_the_models_layers_and_inputs_are_named_where_there_are_several(graph, scores):
    block = drawn.graph(graph, graph.allowed, scores, "logits")
    rows = {node.name: node.row for node in block.nodes}
    assert (rows["embed"], rows["logits"]) == ("embed", "logits")
    assert all(
        row == name[1 : name.index("H")] for name, row in rows.items() if name[1:3].endswith("H")
    )
    assert {edge.via for edge in block.edges} <= {"q", "k", "v", ""}


def test_what_is_not_stable_is_dashed_and_roles_are_lanes(graph, scores):
    stable = np.zeros_like(graph.allowed)
    stable[-1] = True
    lanes = {Head(1, 0): "mover"}
    block = drawn.graph(graph, graph.allowed, scores, "logits", stable=stable, lanes=lanes)
    assert all(edge.stable == (edge.target == "logits") for edge in block.edges)
    assert "Dashed: chosen in under 95% of draws" in block.note
    assert "Dashed" not in drawn.graph(graph, graph.allowed, scores, "logits").note
    assert all((node.lane == "mover") == (node.name == "L1H0") for node in block.nodes)


def test_shared_keys_and_values_are_drawn_to_each_head_that_reads_them(graph):
    kept, scores = np.zeros_like(graph.allowed), np.ones(graph.allowed.shape)
    row = next(i for i, each in enumerate(graph.readers) if each.component.kind == "kv_head")
    sharing = np.flatnonzero(graph.feeds[row])
    kept[row, 0] = True
    kept[-1, sharing] = True
    block = drawn.graph(graph, kept, scores, "logits")
    read = {edge.target for edge in block.edges if edge.source == "embed"}
    assert read == {str(graph.writers[column]) for column in sharing}
    assert len(sharing) > 1


def test_the_curve_leaves_out_sizes_without_random_circuits(graph):
    frame = pd.DataFrame(
        {
            "fraction": [0.1, 0.5],
            "edges": [3, 90],
            "faithfulness": [0.5, 1.0],
            "ci_low": [0.4, 0.9],
            "ci_high": [0.6, 1.1],
            "complement": [0.2, 0.0],
            "random_low": [np.nan, 0.1],
            "random_high": [np.nan, 0.3],
            "kl": [1.0, 0.1],
            "agreement": [0.5, 1.0],
        }
    )
    picture = views.sizes(frame, 0.8, 3)
    assert isinstance(picture, Curve)
    assert [len(series.x) for series in picture.series] == [2, 2, 1]
    assert picture.marks == (("3 edges", 3.0),)


@pytest.fixture(scope="module")
def placed(graph):
    task = tasks.build("ioi", interp.load("tiny-llama").tokenizer, n=8)
    return graph.at_places(Places.apart(task))


def test_the_table_of_paths_says_what_each_edge_of_a_path_scores_and_where(graph, scores, placed):
    share = np.zeros(len(placed.names))
    share[[0, 1]] = 0.25, 0.75
    by_place = scores[..., None] * share
    table = drawn.strongest(graph, graph.allowed, scores, placed, by_place, 6)
    assert list(table.frame.columns) == ["path", "edges", "weakest", "scores", "positions"]
    for row in table.frame.itertuples():
        assert row.path.startswith("embed → ")
        assert row.path.endswith(" → logits")
        assert len(row.scores.split(", ")) == row.edges == row.path.count("→")
        assert row.positions == ", ".join([f"{placed.names[1]} 75%"] * row.edges)


def test_by_place_a_head_stands_where_it_writes_and_reads_keys_from_before(placed):
    scores = np.random.default_rng(2).normal(size=placed.allowed.shape) ** 3
    block = drawn.graph(placed, placed.allowed, scores, "logits")
    assert set(block.lanes) <= set(placed.names)
    assert [name for name in placed.names if name in block.lanes] == list(block.lanes)
    lane = {node.name: node.lane for node in block.nodes}
    order = {name: i for i, name in enumerate(placed.names)}
    crossed = 0
    for edge in block.edges:
        one, other = order[lane[edge.source]], order[lane[edge.target]]
        if edge.via in ("k", "v"):
            assert placed.places.reaches[one, other]
            crossed += one != other
        else:
            assert one == other
    assert crossed
    assert lane["logits at END"] == "END"
    assert {node.label for node in block.nodes} >= {"logits", "embed"}


def test_every_edge_that_has_a_score_is_a_row_kept_and_strong_ones_first(graph, scores):
    kept = scores > 1
    given = np.where(scores < -1, np.nan, scores)
    frame = views.edges(graph, {"score": given, "exact": scores, "kept": kept}).frame
    assert list(frame) == ["writer", "reader", "input", "score", "exact", "kept"]
    assert len(frame) == (graph.allowed & ~np.isnan(given)).sum()
    n = int((kept & graph.allowed).sum())
    assert frame["kept"].tolist() == [True] * n + [False] * (len(frame) - n)
    assert frame["score"].head(n).is_monotonic_decreasing


def test_an_edge_is_drawn_only_in_places_that_have_a_share_of_its_score(graph, scores, placed):
    share = np.zeros(len(placed.names))
    end = placed.names.index("END")
    share[[0, 1, end]] = 0.03, 0.2, 0.77
    found = drawn.at_places(placed, graph.allowed, scores[..., None] * share)
    assert not found[..., 0].any()
    assert (found[:-1, :, 1] == graph.allowed[:-1]).all()
    assert (found[..., end] == graph.allowed).all()
