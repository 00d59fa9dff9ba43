"""A model run as circuits: identities that hold for every kind of model."""

import copy

import numpy as np
import pytest
import torch

from interp import edits, sites
from interp.circuits import Graph, prompts, run
from interp.circuits.run import run_circuits
from interp.circuits.written import ablation_values, bias
from interp.components import Head, KVHead
from interp.errors import UsageError
from interp.methods.ablate import KINDS
from interp.methods.naive_path import naive_path
from interp.methods.propagation import Receiver

NEAR = 1e-9


def same(found, expected):
    assert float((found - expected).abs().max()) <= NEAR * float(expected.abs().max())


def end(model, tokens, changed=()):
    return model.run(tokens, changed, logits_at=-1).logits


def difference(batch, logits):
    rows = torch.stack([batch.answer, batch.distractor], -1)
    answer, wrong = logits[..., -1, :].gather(-1, rows.expand(*logits.shape[:-2], 2)).unbind(-1)
    return answer - wrong


def without(graph, *cells):
    mask = graph.allowed.copy()
    for cell in cells:
        mask[cell] = False
    return mask


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_full_circuit_is_the_clean_run(model, task, batch, kind, private):
    graph = Graph.of(model, private=private)
    other = ablation_values(model, graph, task, batch, kind)
    (full,) = run_circuits(model, graph, batch.clean, other, [graph.allowed])
    same(full, end(model, batch.clean))


def test_the_empty_circuit_is_the_corrupted_run_under_resample(model, graph, task, batch):
    other = ablation_values(model, graph, task, batch, "resample")
    (empty,) = run_circuits(model, graph, batch.clean, other, [np.zeros_like(graph.allowed)])
    same(empty, end(model, batch.corrupted))


@pytest.mark.parametrize("kind", ["mean", "zero"])
@torch.no_grad()
def test_the_empty_circuit_is_the_ablated_writers_and_the_biases(model, graph, task, batch, kind):
    other = ablation_values(model, graph, task, batch, kind)
    (empty,) = run_circuits(model, graph, batch.clean, other, [np.zeros_like(graph.allowed)])
    stream = other.sum(0)
    for layer in range(model.config.n_layers):
        if bias(model, layer) is not None:
            stream = stream + bias(model, layer)
    same(empty, model.read_out(stream)[:, -1:])


def test_a_missing_edge_is_the_direct_path_with_everything_between_frozen(
    model, graph, task, batch
):
    other = ablation_values(model, graph, task, batch, "resample")
    writers = [site for site in model.sites if site.kind in ("z", "mlp_out")]
    new = model.run(batch.corrupted, keep=writers, logits_at=-1).cache
    before = difference(batch, end(model, batch.clean))
    drawn = np.random.default_rng(0).permutation(np.argwhere(graph.allowed))
    cells = [
        (int(row), int(column))
        for row, column in drawn
        if column > 0 and graph.readers[row].input != "mlp"
    ][:12]
    found = run_circuits(model, graph, batch.clean, other, [without(graph, cell) for cell in cells])
    for logits, (row, column) in zip(found, cells, strict=True):
        reader = graph.readers[row]
        expected = naive_path(model, batch, graph.writers[column], reader, new, "frozen")
        np.testing.assert_allclose(difference(batch, logits) - before, expected, atol=NEAR)


@torch.no_grad()
def test_a_missing_edge_into_an_mlp_gives_it_another_stream(model, graph, task, batch):
    if not model.config.d_mlp:
        pytest.skip("no MLPs")
    layer = model.config.n_layers - 1
    row = graph.readers.index(
        next(each for each in graph.readers if each.input == "mlp" and each.layer == layer)
    )
    other = ablation_values(model, graph, task, batch, "resample")
    (found,) = run_circuits(model, graph, batch.clean, other, [without(graph, (row, 1))])
    reads = sites.resid_pre(layer) if model.config.parallel else sites.resid_mid(layer)
    run = model.run(batch.clean, keep=[reads, sites.head_out(0)])
    block = model.block(layer)
    stream = run.cache[reads] + other[1] - run.cache[sites.head_out(0)][:, :, 0]
    changed = edits.put(sites.mlp_out(layer), block.mlp(block.ln2(stream)))
    same(found, end(model, batch.clean, [changed]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_without_out_edges_is_ablated(model, graph, task, batch, kind):
    other = ablation_values(model, graph, task, batch, kind)
    for column in {0, 1, len(graph.writers) // 2, len(graph.writers) - 1}:
        mask = graph.allowed.copy()
        mask[:, column] = False
        (found,) = run_circuits(model, graph, batch.clean, other, [mask])
        (where,) = graph.writers[column].slices(model)
        site = sites.head_out(where.site.layer) if where.heads else where.site
        keep = model.run(batch.clean, keep=[site]).cache[site].clone()
        if where.heads:
            keep[:, :, where.heads[0]] = other[column]
        else:
            keep = other[column]
        if column == 0 and model.config.positions == "learned":
            # The embedding of positions is written with that of tokens.
            keep = keep - model.run(batch.clean, keep=[sites.pos_embed()]).cache[sites.pos_embed()]
        same(found, end(model, batch.clean, [edits.put(site, keep)]))


def test_circuits_run_together_as_they_run_alone(model, graph, task, batch):
    random = np.random.default_rng(1)
    other = ablation_values(model, graph, task, batch, "resample")
    masks = [
        graph.allowed & (random.random(graph.allowed.shape) < share) for share in (0.02, 0.3, 0.9)
    ]
    together = run_circuits(model, graph, batch.clean, other, masks)
    for mask, logits in zip(masks, together, strict=True):
        same(logits, run_circuits(model, graph, batch.clean, other, [mask])[0])
    bounded = run_circuits(model, graph, batch.clean, other, masks, memory=1)
    same(bounded, together)


def test_private_copies_of_keys_are_those_of_one_head_alone(model, task, batch):
    shared, private = Graph.of(model), Graph.of(model, private=True)
    group = model.config.group
    kept = shared.allowed & (np.random.default_rng(2).random(shared.allowed.shape) < 0.5)
    rows = [
        next(
            row
            for row, reader in enumerate(shared.readers)
            if reader.input == each.input
            and (
                reader.component == each.component
                or (
                    isinstance(reader.component, KVHead)
                    and reader.layer == each.layer
                    and reader.component.index == each.component.index // group
                )
            )
        )
        for each in private.readers
    ]
    one = run_circuits(
        model, shared, batch.clean, ablation_values(model, shared, task, batch, "resample"), [kept]
    )
    two = run_circuits(
        model,
        private,
        batch.clean,
        ablation_values(model, private, task, batch, "resample"),
        [kept[rows]],
    )
    same(two, one)


def test_what_is_of_another_graph_is_refused(model, graph, task, batch):
    other = ablation_values(model, graph, task, batch, "resample")
    with pytest.raises(UsageError, match="expected masks"):
        run_circuits(model, graph, batch.clean, other, [graph.allowed[:-1]])
    with pytest.raises(UsageError, match="of edges that the graph has"):
        run_circuits(model, graph, batch.clean, other, [np.ones_like(graph.allowed)])
    with pytest.raises(UsageError, match="expected ablated values"):
        run_circuits(model, graph, batch.clean, other[:, :1], [graph.allowed])
    with pytest.raises(
        UsageError, match="an ablation of edges is zero, mean, resample, got 'noise'"
    ):
        ablation_values(model, graph, task, batch, "noise")


def test_the_receivers_of_paths_are_the_readers_of_graphs(graph):
    assert all(isinstance(each, Receiver) for each in graph.readers)


def test_what_leads_nowhere_is_not_computed(model, graph, task, batch):
    """All heads and MLPs that a path does not pass are broken."""
    other = ablation_values(model, graph, task, batch, "zero")
    first, last = graph.writers.index(Head(0, 1)), graph.writers.index(Head(1, 0))
    values = [each.input == "v" for each in graph.readers]
    start, value = (np.flatnonzero(graph.feeds[:, head] & values)[0] for head in (first, last))
    mask = np.zeros_like(graph.allowed)
    mask[start, 0] = mask[value, first] = mask[-1, last] = True
    mask[graph.feeds[:, -1], 0] = True  # leads into what nothing reads
    (whole,) = run_circuits(model, graph, batch.clean, other, [mask])
    broken = copy.deepcopy(model)
    with torch.no_grad():
        for layer in range(model.config.n_layers):
            kept = {0: 1, 1: 0}.get(layer)
            attn = broken.block(layer).attn
            for name, parameter in attn.named_parameters():
                if name[2:] in ("Q", "O") and name[0] == "W":
                    parameter[[each for each in range(len(parameter)) if each != kept]] = torch.nan
            if model.config.d_mlp:
                broken.block(layer).mlp.W_out.fill_(torch.nan)
    same(run_circuits(broken, graph, batch.clean, other, [mask])[0], whole)
    assert (whole != run_circuits(model, graph, batch.clean, other, [mask & False])[0]).any()


@pytest.mark.parametrize("kind", ["mean", "zero"])
def test_what_no_kept_edge_leads_into_writes_what_it_makes_of_the_ablated_stream(
    model, graph, task, batch, kind
):
    """A kept edge from a head into the logits alone, beside the obvious: the head on the empty circuit's
    residual stream."""
    other = ablation_values(model, graph, task, batch, kind)
    layer = model.config.n_layers - 1
    empty = other[0] * 0
    for column, writer in enumerate(graph.writers):
        if writer.layer is None or writer.layer < layer:
            empty = empty + other[column]
    for each in range(layer):
        empty = empty if bias(model, each) is None else empty + bias(model, each)
    column = graph.writers.index(Head(layer, 1))
    mask = np.zeros_like(graph.allowed)
    mask[-1, column] = True
    with torch.no_grad():
        attn, around = (
            model.block(layer).attn,
            model.surroundings(torch.ones_like(batch.clean, dtype=torch.bool), empty),
        )
        read = model.block(layer).ln1(empty)
        q, k = attn.queries(read, around.rotary), attn.keys(read, around.rotary)
        z = attn.mix(q, k, attn.values(read), around.mask(layer))
        stream = other.sum(0) + z[:, :, 1] @ attn.W_O[1] - other[column]
        for each in range(layer + 1):
            stream = stream if bias(model, each) is None else stream + bias(model, each)
        expected = model.read_out(stream)[:, -1:]
    found = run_circuits(model, graph, batch.clean, other, [mask, mask & False, mask])
    same(found[0], expected)
    same(found[2], expected)
    same(run_circuits(model, graph, batch.clean, other, [mask], memory=1)[0], expected)


def test_prompts_in_slices_are_those_together(model, graph, task, batch, monkeypatch):
    other = ablation_values(model, graph, task, batch, "resample")
    masks = [graph.allowed & (np.random.default_rng(5).random(graph.allowed.shape) < 0.3)] * 2
    one = run_circuits(model, graph, batch.clean, other, masks)
    monkeypatch.setattr(run, "_SLICE", 1)
    same(run_circuits(model, graph, batch.clean, other, masks, memory=1), one)


def test_reading_through_norms_is_norming_and_reading(model):
    norm, W = model.block(0).ln1, model.block(0).attn.W_Q
    streams = torch.randn(len(W), 2, 5, model.config.d_model, dtype=torch.float64)
    with torch.no_grad():
        expected = torch.einsum("rctd,rdh->rcth", norm(streams), W)
        torch.testing.assert_close(prompts.read_normed(norm, streams, W), expected)
