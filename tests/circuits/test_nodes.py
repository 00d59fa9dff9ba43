"""Nodes of other kinds stand in a graph: parts of an MLP, each with an input and an output of its own."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from interp import edits, sites
from interp.circuits import Circuit, Edge, Graph
from interp.circuits.nodes import Rest, writes
from interp.circuits.places import Places
from interp.circuits.run import run_circuits
from interp.circuits.scores import eap
from interp.circuits.written import ablation_values
from interp.components import MLP, Component, Embedding, Logits, Neuron
from interp.errors import UsageError


@dataclass(frozen=True, slots=True)
class Neurons(Component):
    """What some neurons of an MLP write."""

    layer: int = field()
    neurons: tuple[int, ...] = field()

    def __str__(self):
        return f"neurons {self.neurons} of layer {self.layer}"

    def writes(self, model, stream):
        block, these = model.block(self.layer), list(self.neurons)
        mlp, read = block.mlp, block.ln2(stream)
        pre = read @ mlp.W_in[:, these] + (0 if mlp.b_in is None else mlp.b_in[these])
        if model.config.gated:
            gate = read @ mlp.W_gate[:, these] + (0 if mlp.b_gate is None else mlp.b_gate[these])
            return (mlp.act(gate) * pre) @ mlp.W_out[these]
        return mlp.act(pre) @ mlp.W_out[these]


@dataclass(frozen=True, slots=True)
class Feature(Component):
    """What an MLP writes along one direction."""

    layer: int = field()
    seed: int = field()

    def __str__(self):
        return f"feature {self.seed} of layer {self.layer}"

    def writes(self, model, stream):
        like = stream[0, 0, 0] if stream.ndim == 4 else stream[0, 0]
        random = torch.Generator().manual_seed(self.seed)
        direction = torch.randn(len(like), generator=random).to(like)
        direction = direction / direction.norm()
        whole = writes(model, MLP(self.layer), stream)
        return (whole @ direction)[..., None] * direction


NEAR = 1e-9
PARTS = {"neurons": [Neurons(1, (0, 3, 4)), Neurons(1, (5,))], "feature": [Feature(1, 7)]}


def same(found, expected):
    assert float((found - expected).abs().max()) <= NEAR * float(expected.abs().max())


@pytest.fixture(scope="module", params=PARTS)
def parts(request, model):
    if not model.config.d_mlp:
        pytest.skip("no MLPs")
    return PARTS[request.param]


@pytest.fixture(scope="module")
def apart(model, parts):
    return Graph.of(model, parts={MLP(1): [*parts, Rest(MLP(1), tuple(parts))]})


def clean_run(model, batch, edits=()):
    return model.run(batch.clean, edits, logits_at=-1).logits


def test_a_part_has_the_edges_of_its_mlp_and_none_to_the_other_parts(graph, apart, parts):
    more, mlp = len(parts), graph.writers.index(MLP(1))
    into = graph.allowed[[each.component == MLP(1) for each in graph.readers]].sum()
    assert apart.n_edges == graph.n_edges + more * (into + graph.allowed[:, mlp].sum())
    edge = Edge(Embedding(), parts[0], "mlp")
    assert apart.edge(*apart.at(edge)) == edge
    with pytest.raises(UsageError, match="is not computed before"):
        apart.at(Edge(parts[0], Rest(MLP(1), tuple(parts)), "mlp"))
    path = apart.mask([edge, Edge(parts[0], Logits(), "logits")])
    assert (apart.pruned(path) == path).all()


@pytest.mark.parametrize("kind", ["resample", "zero"])
def test_a_graph_with_parts_has_the_clean_run_and_the_ablated_one(model, apart, task, batch, kind):
    other = ablation_values(model, apart, task, batch, kind)
    none = np.zeros_like(apart.allowed)
    full, empty = run_circuits(model, apart, batch.clean, other, [apart.allowed, none])
    same(full, clean_run(model, batch))
    if kind == "resample":
        same(empty, model.run(batch.corrupted, logits_at=-1).logits)
    same(run_circuits(model, apart, batch.clean, other, [apart.allowed], memory=1)[0], full)


def test_a_part_without_out_edges_is_ablated_alone(model, apart, parts, task, batch):
    other = ablation_values(model, apart, task, batch, "resample")
    reads = sites.resid_pre(1) if model.config.parallel else sites.resid_mid(1)
    held = model.run(batch.clean, keep=[reads, sites.mlp_out(1)]).cache
    for part in parts:
        column = apart.writers.index(part)
        mask = apart.allowed.copy()
        mask[:, column] = False
        (found,) = run_circuits(model, apart, batch.clean, other, [mask])
        old = part.writes(model, held[reads])
        assert (other[column] - old).abs().max() > 1e-3
        changed = held[sites.mlp_out(1)] + other[column] - old
        same(found, clean_run(model, batch, [edits.put(sites.mlp_out(1), changed)]))


@torch.no_grad()
def test_a_missing_edge_into_a_part_changes_what_that_part_reads(model, apart, parts, task, batch):
    other = ablation_values(model, apart, task, batch, "resample")
    reads = sites.resid_pre(1) if model.config.parallel else sites.resid_mid(1)
    held = model.run(batch.clean, keep=[reads, sites.mlp_out(1), sites.head_out(0)]).cache
    moved = other[1] - held[sites.head_out(0)][:, :, 0]
    for node in [*parts, Rest(MLP(1), tuple(parts))]:
        mask = apart.allowed.copy()
        mask[apart.at(Edge(apart.writers[1], node, "mlp"))] = False
        (found,) = run_circuits(model, apart, batch.clean, other, [mask])
        new = node.writes(model, held[reads] + moved) - node.writes(model, held[reads])
        changed = held[sites.mlp_out(1)] + new
        same(found, clean_run(model, batch, [edits.put(sites.mlp_out(1), changed)]))
        assert (new.abs() > 1e-6).any()


def test_all_parts_with_the_same_edges_are_their_mlp(model, graph, apart, task, batch):
    kept = graph.allowed & (np.random.default_rng(0).random(graph.allowed.shape) < 0.4)
    rows = [
        next(
            row
            for row, old in enumerate(graph.readers)
            if old.input == new.input
            and (old.component == new.component or (old.input == "mlp" and old.layer == new.layer))
        )
        for new in apart.readers
    ]
    columns = [
        graph.writers.index(each if each in graph.writers else MLP(1)) for each in apart.writers
    ]
    two = run_circuits(
        model,
        apart,
        batch.clean,
        ablation_values(model, apart, task, batch, "resample"),
        [kept[rows][:, columns]],
    )
    one = run_circuits(
        model, graph, batch.clean, ablation_values(model, graph, task, batch, "resample"), [kept]
    )
    same(two, one)


def test_parts_have_places(model, apart, task, batch):
    places = Places.named(task, ["S1", "END"])
    there, of = apart.at_places(places), places.of(batch)
    other = ablation_values(model, apart, task, batch, "resample")
    (full,) = run_circuits(model, there, batch.clean, other, [there.allowed], places=of)
    same(full, clean_run(model, batch))


def test_what_parts_do_not_have_is_refused(model, apart, parts, task, batch, tmp_path):
    with pytest.raises(UsageError, match="no mean of what a part of an MLP writes"):
        ablation_values(model, apart, task, batch, "mean")
    with pytest.raises(UsageError, match="exact effects alone"):
        eap(model, apart, batch, ablation_values(model, apart, task, batch, "resample"))
    circuit = Circuit(apart, apart.allowed, model.name, model.origin.weights_sha256, "ioi")
    with pytest.raises(UsageError, match="parts of MLPs are not stored"):
        circuit.save(tmp_path / "circuit.json")
    with pytest.raises(UsageError, match="the parts of L1 MLP are"):
        Graph.of(model, parts={MLP(1): [Neurons(0, (1,))]})
    with pytest.raises(UsageError, match="is no part of an MLP"):
        writes(model, Neuron(1, 2), torch.zeros(1, 1, model.config.d_model))
