"""Places partition the positions of prompts, and edges told apart by place add up."""

import numpy as np
import pytest
import torch

from interp import edits, sites
from interp.circuits import Circuit, Edge
from interp.circuits.controls import random_circuits
from interp.circuits.exact import edge_effects
from interp.circuits.graph import top
from interp.circuits.places import ELSEWHERE, Places
from interp.circuits.run import run_circuits
from interp.circuits.scores import eap
from interp.circuits.written import ablation_values
from interp.components import MLP, Embedding, Head, KVHead, Logits
from interp.errors import UsageError
from interp.linear import TRUE, frozen
from interp.sites import Site
from interp.tasks.batches import PromptBatch

SPANS = {"names": ("first", "S1"), "S2": "S2", "end": "END"}


@pytest.fixture(scope="module")
def places(task):
    return Places.named(task, SPANS)


def test_every_position_belongs_to_one_place(task, batch, places):
    assert places.names == ("names", "S2", "end", ELSEWHERE)
    found = places.of(batch)
    for row, prompt in enumerate(batch.prompts):
        at = prompt.positions
        named = [[0, at["S1"]], [at["S2"]], [at["END"]]]
        for number, ends in enumerate(named):
            assert (found[row] == number).nonzero()[:, 0].tolist() == [
                *range(ends[0], ends[-1] + 1)
            ]
    every = Places.every(
        task.only(np.array([len(p.clean_tokens) == batch.clean.shape[1] for p in task.kept]))
    )
    assert (every.of(batch) == torch.arange(batch.clean.shape[1])).all()
    assert ELSEWHERE not in every.names
    np.testing.assert_array_equal(every.reaches, np.triu(np.ones((len(every), len(every)))))
    assert every.read.nonzero()[0].tolist() == [len(every) - 1]


def test_what_place_reaches_what_is_the_order_of_positions(places):
    order = dict(zip(places.names, places.reaches, strict=True))
    assert order["names"].tolist() == [True, True, True, True]
    assert order["S2"].tolist() == [False, True, True, True]
    assert order["end"].tolist() == [False, False, True, False]
    assert places.read.tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["IO", "nobody"], "no position is called 'nobody'"),
        ({"a": ("END", "IO")}, "END is after IO"),
        ({"a": ("first", "S2"), "b": "S1"}, "share a position"),
        ([ELSEWHERE], "place of all positions without a name"),
    ],
)
def test_places_that_are_none_are_refused(task, given, words):
    with pytest.raises(UsageError, match=words):
        Places.named(task, given)


def test_prompts_of_other_places_are_refused(model, task, batch):
    some = task.only(np.arange(task.n) == 0)
    short = Places.every(some)
    long, one = torch.ones(1, 99, dtype=torch.long), torch.ones(1, dtype=torch.long)
    longer = PromptBatch.of_tokens(long, long, one, one)
    with pytest.raises(UsageError, match="positions in none of the places"):
        short.of(longer)


@pytest.mark.parametrize("rules", [TRUE, frozen("pattern")])
def test_scores_by_place_add_up_to_those_without(model, graph, task, batch, places, rules):
    other = ablation_values(model, graph, task, batch, "resample")
    one = eap(model, graph, batch, other, rules=rules, steps=2).each
    each = eap(model, graph, batch, other, rules=rules, steps=2, places=places).each
    assert each.shape == (*one.shape, 4)
    torch.testing.assert_close(each.sum(-1), one, equal_nan=True)
    assert not each[:, -1, :, ~torch.from_numpy(places.read)].any()
    assert each[:, -1, :, 2].abs().sum() > 0


def test_edges_are_told_apart_by_place(graph, places):
    apart = graph.at_places(places)
    assert apart.n_edges == 4 * graph.n_edges - 3 * len(graph.writers)
    edge = Edge(Embedding(), Head(0, 0), "q", "S2")
    assert str(edge) == "embed → L0H0.q at S2"
    assert apart.edges(apart.mask([edge])) == [edge]
    frame = apart.frame({"score": np.arange(apart.allowed.size).reshape(apart.allowed.shape)})
    assert list(frame) == ["writer", "reader", "input", "position", "score"]
    assert len(frame) == apart.n_edges
    assert (frame["position"][frame["reader"] == "logits"] == "end").all()
    assert apart.at_places(None).n_edges == graph.n_edges
    scores = np.random.default_rng(0).random(apart.allowed.shape)
    assert top(scores, apart.allowed, 7).sum() == 7
    for wrong, words in (
        (Edge(Embedding(), Head(0, 0), "q"), "its edges are each at a place"),
        (Edge(Embedding(), Head(0, 0), "q", "S9"), "its places are .names, S2"),
        (Edge(Embedding(), Logits(), "logits", "S2"), "logits are read only at END"),
        (Edge(Head(1, 0), Head(0, 0), "q", "S2"), "is not computed before"),
    ):
        with pytest.raises(UsageError, match=words):
            apart.at(wrong)
    with pytest.raises(UsageError, match="its places are not told apart"):
        graph.at(edge)


def keys(graph, layer, kind):
    """A reader of keys or values of the layer's first head, and that head."""
    reader = next(each for each in graph.readers if each.layer == layer and each.input == kind)
    return reader.component


def test_only_keys_and_values_lead_to_later_places(graph, places):
    apart = graph.at_places(places)

    def kept(*edges):
        mask = apart.mask(Edge(*edge) for edge in edges)
        return apart.pruned(mask).sum(), mask.sum()

    value, key = keys(graph, 0, "v"), keys(graph, 0, "k")
    out = (Head(0, 0), Logits(), "logits", "end")
    for kind, component in (("v", value), ("k", key)):
        left, of = kept((Embedding(), component, kind, "S2"), out)
        assert left == of == 2
        later = keys(graph, 1, kind)
        read = (Head(0, 0), later, kind, "names")
        last = (Head(1, 0), Logits(), "logits", "end")
        # What is read at S2 does not come back to the names before it; what is at the names does.
        assert kept((Embedding(), component, kind, "S2"), read, last)[0] == 0
        assert kept((Embedding(), component, kind, "names"), read, last)[0] == 3
    assert kept((Embedding(), Head(0, 0), "q", "S2"), out)[0] == 0
    assert kept((Embedding(), Head(0, 0), "q", "end"), out)[0] == 2
    if any(isinstance(each, MLP) for each in graph.writers):
        out = (MLP(1), Logits(), "logits", "end")
        assert kept((Embedding(), MLP(1), "mlp", "end"), out)[0] == 2
        assert kept((Embedding(), MLP(1), "mlp", "S2"), out)[0] == 0


def test_pruning_by_place_is_what_a_search_of_paths_finds(graph, places):
    """The obvious way: a walk forward from the embedding, and one back from the logits."""
    apart = graph.at_places(places)
    random = np.random.default_rng(3)
    group = max(
        1,
        sum(isinstance(w, Head) for w in graph.writers)
        // (len([r for r in graph.readers if r.input == "k"])),
    )

    def steps(edge):
        """The (writer, place) that what this edge brings goes on as."""
        names = places.names
        at = names.index(edge.position)
        if edge.input not in ("k", "v"):
            return [(edge.reader, at)]
        same = edge.reader
        heads = [
            w
            for w in graph.writers
            if isinstance(w, Head)
            and w.layer == same.layer
            and (w.index // group if isinstance(same, KVHead) else w.index) == same.index
        ]
        return [(h, to) for h in heads for to in np.flatnonzero(places.reaches[at])]

    for share in (0.02, 0.1):
        mask = apart.allowed & (random.random(apart.allowed.shape) < share)
        edges = apart.edges(mask)
        reached = {(Embedding(), place) for place in range(4)}
        alive, before = set(), -1
        while len(reached) + len(alive) != before:
            before = len(reached) + len(alive)
            for edge in edges:
                if (edge.writer, places.names.index(edge.position)) in reached:
                    reached |= set(steps(edge))
        good, before = set(), -1
        while len(good) != before:
            before = len(good)
            for edge in edges:
                ends = edge.input == "logits"
                start = (edge.writer, places.names.index(edge.position))
                if start in reached and (
                    ends
                    or any(
                        (next_.writer, places.names.index(next_.position)) in steps(edge)
                        for next_ in good
                    )
                ):
                    good.add(edge)
        assert set(apart.edges(apart.pruned(mask))) == good


def test_a_circuit_with_places_is_stored_and_compared(model, graph, places, tmp_path):
    apart = graph.at_places(places)
    kept = apart.allowed & (np.random.default_rng(0).random(apart.allowed.shape) < 0.1)
    digest = model.origin.weights_sha256
    circuit = Circuit(apart, kept, model.name, digest, "ioi")
    circuit.save(tmp_path / "circuit.json")
    again = Circuit.load(tmp_path / "circuit.json", model)
    np.testing.assert_array_equal(again.kept, kept)
    assert again.graph.places == places
    assert again.overlap(circuit) == 1
    assert circuit.fraction == kept.sum() / apart.n_edges
    whole = Circuit(graph, graph.allowed, model.name, digest, "ioi")
    with pytest.raises(UsageError, match="other places"):
        whole.overlap(circuit)


def end_logits(model, tokens, changed=()):
    return model.run(tokens, changed, logits_at=-1).logits


def same(found, expected):
    assert float((found - expected).abs().max()) <= 1e-9 * float(expected.abs().max())


@pytest.mark.parametrize("kind", ["resample", "zero"])
def test_masks_of_all_places_are_masks_without(model, graph, task, batch, places, kind):
    apart, of = graph.at_places(places), places.of(batch)
    other = ablation_values(model, graph, task, batch, kind)
    random = np.random.default_rng(4)
    masks = [
        graph.allowed & (random.random(graph.allowed.shape) < p) for p in (0, 0.03, 0.5, 0.97, 1)
    ]
    one = run_circuits(model, graph, batch.clean, other, masks)
    two = run_circuits(
        model,
        apart,
        batch.clean,
        other,
        [apart.allowed & mask[..., None] for mask in masks],
        places=of,
    )
    same(two, one)
    same(run_circuits(model, apart, batch.clean, other, masks, places=of), one)
    alone = [
        run_circuits(model, apart, batch.clean, other, [mask], memory=1, places=of)
        for mask in masks
    ]
    same(torch.cat(alone), one)


def test_edges_removed_at_one_place_are_the_writer_ablated_there(model, graph, task, batch, places):
    apart, of = graph.at_places(places), places.of(batch)
    other = ablation_values(model, graph, task, batch, "resample")
    for number, column in enumerate({0, 1, len(graph.writers) // 2, len(graph.writers) - 1}):
        mask = apart.allowed.copy()
        mask[:, column, number % len(places)] = False
        (found,) = run_circuits(model, apart, batch.clean, other, [mask], places=of)
        (where,) = graph.writers[column].slices(model)
        site = sites.head_out(where.site.layer) if where.heads else where.site
        keep = model.run(batch.clean, keep=[site]).cache[site].clone()
        at = of == number % len(places)
        new = other[column]
        if column == 0 and model.config.positions == "learned":
            new = new - model.run(batch.clean, keep=[sites.pos_embed()]).cache[sites.pos_embed()]
        if where.heads:
            keep[:, :, where.heads[0]][at] = new[at]
        else:
            keep[at] = new[at]
        same(found, end_logits(model, batch.clean, [edits.put(site, keep)]))


@torch.no_grad()
def test_an_edge_missing_at_one_place_changes_its_reader_there_alone(
    model, graph, task, batch, places
):
    """By hand: the values of the last layer's first key/value head read another stream at S2."""
    layer = model.config.n_layers - 1
    other = ablation_values(model, graph, task, batch, "resample")
    apart, of, at = graph.at_places(places), places.of(batch), places.names.index("S2")
    for kind in ("v", "k"):
        mask, edge = apart.allowed.copy(), Edge(Head(0, 1), keys(graph, layer, kind), kind, "S2")
        mask[apart.at(edge)] = False
        (found,) = run_circuits(model, apart, batch.clean, other, [mask], places=of)
        wanted = [sites.resid_pre(layer), sites.head_out(0), Site(kind, layer)]
        held = model.run(batch.clean, keep=wanted).cache
        moved = other[graph.writers.index(Head(0, 1))] - held[sites.head_out(0)][:, :, 1]
        stream = held[sites.resid_pre(layer)] + moved * (of == at)[..., None]
        block = model.block(layer)
        read = getattr(block.attn, {"k": "W_K", "v": "W_V"}[kind])[0]
        bias = getattr(block.attn, {"k": "b_K", "v": "b_V"}[kind])
        new = held[Site(kind, layer)].clone()
        new[:, :, 0] = block.ln1(stream) @ read + (0 if bias is None else bias[0])
        same(found, end_logits(model, batch.clean, [edits.put(Site(kind, layer), new)]))


def test_places_that_a_graph_has_not_are_refused(model, graph, task, batch, places):
    apart, other = graph.at_places(places), ablation_values(model, graph, task, batch, "resample")
    for of in (None, places.of(batch) + 1):
        with pytest.raises(UsageError, match="expected the place of every position"):
            run_circuits(model, apart, batch.clean, other, [apart.allowed], places=of)
    with pytest.raises(UsageError, match="expected masks"):
        run_circuits(model, graph, batch.clean, other, [apart.allowed])


def test_what_takes_no_places_says_so(model, graph, task, places):
    apart = graph.at_places(places)
    with pytest.raises(
        UsageError, match="exact effects of single edges are of graphs without places"
    ):
        edge_effects(model, apart, task, apart.edges()[:1])
    with pytest.raises(UsageError, match="random connected circuits are of graphs without places"):
        random_circuits(apart, apart.allowed, 1)
