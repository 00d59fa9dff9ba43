"""A circuit is kept and read back, and belongs to one model."""

import json

import numpy as np
import pytest

import interp
from interp.circuits import Circuit, Edge, Graph
from interp.circuits.circuit import from_importances, importances
from interp.components import Embedding, Head, KVHead, Logits
from interp.errors import UsageError


@pytest.fixture(scope="module")
def tiny():
    return interp.load("tiny-llama")


@pytest.fixture
def circuit(tiny):
    graph = Graph.of(tiny)
    kept = graph.allowed & (np.random.default_rng(0).random(graph.allowed.shape) < 0.3)
    return Circuit(
        graph, kept, tiny.name, tiny.origin.weights_sha256, "ioi", "zero", "denoising", "by hand"
    )


def test_a_circuit_that_was_saved_is_read_back(tmp_path, tiny, circuit):
    circuit.save(tmp_path / "circuit.json")
    again = Circuit.load(tmp_path / "circuit.json", tiny)
    assert again.edges == circuit.edges
    assert (again.task, again.ablation, again.direction, again.found) == (
        "ioi",
        "zero",
        "denoising",
        "by hand",
    )
    assert again.overlap(circuit) == 1


def test_a_circuit_with_private_keys_is_read_back(tmp_path, tiny):
    graph = Graph.of(tiny, private=True)
    one = Circuit(graph, graph.allowed, tiny.name, tiny.origin.weights_sha256, "ioi")
    one.save(tmp_path / "circuit.json")
    assert Circuit.load(tmp_path / "circuit.json", tiny).edges == one.edges


def test_another_models_circuit_is_refused(tmp_path, circuit):
    circuit.save(tmp_path / "circuit.json")
    with pytest.raises(
        UsageError, match=r"is a circuit of 'tiny-llama' with weights .*, not of tiny-qwen2"
    ):
        Circuit.load(tmp_path / "circuit.json", interp.load("tiny-qwen2"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: [], "has no list of edges"),
        (lambda data: data | {"edges": None}, "has no list of edges"),
        (lambda data: data | {"task": 3}, "has no text 'task'"),
        (
            lambda data: data | {"edges": [["L0H1", "L1H0"]]},
            r"an edge is \[writer, reader, input\]",
        ),
        (
            lambda data: data | {"edges": [["L0H1", "L1H0", "x"]]},
            r"an edge is \[writer, reader, input\]",
        ),
        (lambda data: data | {"edges": [["L2H1", "L1H0", "q"]]}, "is not computed before"),
        (lambda data: data | {"edges": [["<b>", "L1H0", "q"]]}, "no component is spelt"),
        (
            lambda data: data | {"ablation": "noise"},
            "ablation of a circuit is zero, mean, resample",
        ),
        (lambda data: data | {"direction": "up"}, "direction of a circuit is noising, denoising"),
    ],
)
def test_a_damaged_file_is_refused_with_one_sentence(tmp_path, tiny, circuit, change, words):
    path = tmp_path / "circuit.json"
    circuit.save(path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UsageError, match=words) as refused:
        Circuit.load(path, tiny)
    assert len(str(refused.value)) < 600


def test_what_is_no_json_is_refused(tmp_path, tiny):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(UsageError, match="is no JSON"):
        Circuit.load(tmp_path / "x.json", tiny)


def test_a_complement_has_the_other_edges_and_pruning_counts_honestly(circuit):
    rest = circuit.complement()
    assert len(rest) + len(circuit) == circuit.graph.n_edges
    assert rest.overlap(circuit) == 0
    assert len(circuit.pruned()) <= len(circuit)
    assert circuit.fraction == len(circuit) / circuit.graph.n_edges


def test_importances_are_read_back_edge_by_edge(tiny):
    graph = Graph.of(tiny, private=True)
    random = np.random.default_rng(0)
    scores = np.where(graph.allowed, random.normal(size=graph.allowed.shape), 0)
    kept = graph.allowed & (scores > 1)
    data = json.loads(
        json.dumps(importances(graph, scores, kept, {"n_layers": tiny.config.n_layers}))
    )
    assert (
        data["edges"]["input->a0.h0<q>"]["score"]
        == -scores[graph.at(Edge(Embedding(), Head(0, 0), "q"))]
    ), "there, what helps is positive"
    assert "m0->logits" in data["edges"]
    again, also = from_importances(graph, data)
    np.testing.assert_array_equal(again, scores)
    np.testing.assert_array_equal(also, kept)
    del data["edges"]["m0->logits"]
    with pytest.raises(UsageError, match="'?m0->logits'? is not in both"):
        from_importances(graph, data)


def test_importances_of_a_groups_keys_are_shared_by_its_heads(tiny):
    graph, private = Graph.of(tiny), Graph.of(tiny, private=True)
    scores = np.where(graph.allowed, np.random.default_rng(0).normal(size=graph.allowed.shape), 0)
    kept = graph.allowed & (scores > 1)
    data = importances(graph, scores, kept, {})
    assert set(data["edges"]) == set(
        importances(private, 0.0 * private.allowed, private.allowed, {})["edges"]
    )
    of_group = scores[graph.at(Edge(Head(0, 1), KVHead(2, 1), "k"))]
    assert tiny.config.group == 3
    for head in (3, 4, 5):
        np.testing.assert_allclose(data["edges"][f"a0.h1->a2.h{head}<k>"]["score"], -of_group / 3)
    again, also = from_importances(graph, data)
    np.testing.assert_allclose(again, scores)
    np.testing.assert_array_equal(also, kept)


def test_edges_are_named_as_people_name_them():
    assert str(Edge(Head(0, 3), Logits(), "logits")) == "L0H3 → logits.logits"
