"""Heads that copy and match are found by their weights, and the strongest compositions are the largest."""

import numpy as np
import pytest
import torch

import interp
from interp.components import Head
from interp.methods.circuits import copying, matching
from interp.methods.composition import Compositions, compositions
from interp.views import circuits as shown


def test_a_head_that_writes_what_it_reads_copies_and_no_other_does():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    attn = model.block(1).attn
    with torch.no_grad():
        attn.W_O[2] = attn.W_V[2].mT
    found, control = copying(model, 50)
    score = found["copying_embedding"].reshape(model.config.n_layers, -1)
    assert np.unravel_index(score.argmax(), score.shape) == (1, 2)
    assert score[1, 2] > 0.9
    assert np.sort(score, axis=None)[-2] < 0.6
    assert np.abs(control).max() < score[1, 2]
    assert set(found) == {
        *("copying_embedding", "accuracy_embedding", "copying_first_mlp", "accuracy_first_mlp")
    }


def test_a_head_whose_queries_are_its_keys_attends_to_the_same_token():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    attn = model.block(2).attn
    with torch.no_grad():
        attn.W_Q[1] = attn.W_K[1]
    (score,) = matching(model, [0, 1]).values()
    assert score.argmax() == 2 * model.config.n_heads + 1
    assert score.max() > 0.95
    assert set(matching(interp.load("tiny-llama"), [0, 3])) == {"matching_0", "matching_3"}


def test_the_strongest_pairs_are_the_largest_scores_and_those_beyond_are_counted():
    found = compositions(interp.load("tiny-gpt2", dtype=torch.float64), "V")
    every = {
        (Head(a, b), Head(c, d)): float(found.scores[a, b, c, d])
        for a, b, c, d in found.scores.isfinite().nonzero().tolist()
    }
    assert len(found.known) == len(every) == 3 * 4 * 4
    expected = sorted(every.items(), key=lambda item: -item[1])
    pairs = found.pairs(5)
    assert [(one, other) for one, other, _ in pairs] == [pair for pair, _ in expected[:5]]
    assert [score for *_, score in pairs] == pytest.approx([score for _, score in expected[:5]])
    assert len(found.pairs(100)) == len(every)
    low = Compositions(found.scores, torch.tensor([expected[3][1]], dtype=torch.float64))
    assert low.share_beyond == pytest.approx(3 / len(every))


def test_the_graph_and_the_tables_have_the_pairs_that_were_found():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    composed = {"V": compositions(model, "V")}
    pairs = shown.pairs(composed)
    assert shown.ends(pairs)[0] == composed["V"].pairs(1)[0][:2]
    (section,) = shown.composition(composed, pairs, model.config)
    maps, graph, table = section.blocks
    assert len(graph.edges) == 40
    assert graph.edges[0].source == str(shown.ends(pairs)[0][0])
    assert len(table.frame) == 20
    (largest,) = (np.nanmax(each.values) for each in maps.heatmaps)
    assert largest == pytest.approx(pairs.score.iloc[0])
    (control,) = shown.control(composed)
    assert control.frame.pairs.tolist() == [48]
    assert shown.control({}) == []
    assert str(shown.ends(pairs)[0][0]) in shown.strongest(pairs)
    assert shown.strongest(pairs[:0]) == ""
