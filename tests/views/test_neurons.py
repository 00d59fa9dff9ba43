"""Neurons on a page: what each layer's push, and the text in which the first is loudest."""

import numpy as np
import pytest
import torch

import interp
from interp.components import Neuron
from interp.effects import Effects
from interp.methods import neurons
from interp.views import neurons as shown


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-llama", dtype=torch.float64)


TEXTS = {"task": [[5, 9, 40, 7], [8, 3, 60]], "own": [[11, 22, 33, 44, 55]]}
CHOSEN = [Neuron(2, 7), Neuron(1, 3)]


def test_up_and_down_add_up_to_each_layers_neurons(task):
    values = np.array([[1.0], [-3.0], [2.0], [0.5]]) + np.zeros(task.n)
    every = [Neuron(layer, unit) for layer in range(2) for unit in range(2)]
    up, down = shown.pushes(Effects(values, every, task), 2).series
    assert list(up.x) == ["L0", "L1"]
    np.testing.assert_allclose(up.y, [1.0, 2.5])
    np.testing.assert_allclose(down.y, [-3.0, 0.0])


def test_reads_has_the_loudest_tokens_of_each_collection_with_what_is_before_them(model):
    frame = neurons.reads(model, TEXTS, CHOSEN, 2)
    assert frame["text"].tolist() == ["task"] * 4 + ["own"] * 4
    assert frame["rank"].tolist() == [1, 2] * 4
    for row in frame.itertuples():
        text = TEXTS[row.text][row.example]
        active = neurons.along(model, text, Neuron(row.layer, row.neuron))
        assert row.activation == pytest.approx(active[row.position])
        words = model.to_str_tokens(torch.tensor(text[1 : row.position + 1]))
        assert (row.token, row[7]) == (words[-1], "".join(words))


def test_writes_has_the_tokens_that_each_neuron_raises_and_lowers(model):
    frame = neurons.writes(model, CHOSEN, 2)
    assert frame[["layer", "neuron"]].to_numpy().tolist() == [[2, 7], [1, 3]]
    raised, _ = neurons.extremes(neurons.promoted(model, CHOSEN[0]), 2)
    words = " ".join(repr(model.to_single_str_token(token)) for token in raised.tolist())
    assert frame["raised when active"].iloc[0] == words


def test_the_first_neuron_is_shown_in_the_text_of_its_peak(model):
    frame = neurons.reads(model, TEXTS, CHOSEN, 2)
    strips = shown.strips(model, TEXTS, frame)
    assert [each.title for each in strips] == [
        f"L2N7 on the text of its peak ({name})" for name in TEXTS
    ]
    own = np.asarray(strips[1].values)
    assert np.isnan(own[0])
    best = frame[(frame["text"] == "own") & (frame["neuron"] == 7)].iloc[0]
    assert own[best["position"]] == pytest.approx(best["activation"])
    assert np.nanmax(np.abs(own)) == pytest.approx(abs(best["activation"]))
