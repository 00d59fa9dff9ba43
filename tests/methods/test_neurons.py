"""Neurons: where they are loud, what they raise."""

import pytest
import torch

import interp
from interp import sites
from interp.components import Neuron
from interp.errors import UsageError
from interp.methods import neurons
from interp.methods.neurons import natural_texts


@pytest.fixture(scope="module")
def model():
    return interp.load("tiny-llama", dtype=torch.float64)


def test_peaks_are_the_loudest_tokens_of_all_texts_but_the_first_of_each(model):
    generator = torch.Generator().manual_seed(0)
    texts = [
        torch.randint(300, (size,), generator=generator).tolist()
        for size in (5, 9, 3, 7, 6, 4, 8, 2, 11)
    ]
    chosen = [Neuron(1, 7), Neuron(3, 60)]
    for each, found in zip(chosen, neurons.peaks(model, texts, chosen, 4), strict=True):
        layer, neuron = each.layer, each.index
        loud = []
        for example, text in enumerate(texts):
            post = model.run([text], keep=[sites.mlp_post(layer)]).cache[sites.mlp_post(layer)]
            loud += [
                (abs(float(v)), example, place)
                for place, v in enumerate(post[0, :, neuron])
                if place
            ]
        wanted = sorted(loud, reverse=True)[:4]
        assert [(peak.example, peak.position) for peak in found] == [row[1:] for row in wanted]
        assert [abs(peak.activation) for peak in found] == pytest.approx([row[0] for row in wanted])


def test_what_a_neuron_raises_is_its_output_vector_unembedded(model):
    found = neurons.promoted(model, Neuron(2, 11))
    logits = (model.block(2).mlp.W_out[11] * model.ln_final.w) @ model.unembed.matrix
    torch.testing.assert_close(found, logits - logits.mean())
    raised, lowered = neurons.extremes(found, 3)
    order = found.argsort(descending=True)
    assert raised.tolist() == order[:3].tolist()
    assert lowered.tolist() == order.flip(0)[:3].tolist()


def test_passages_ship_and_a_users_own_are_read(tmp_path):
    assert len(natural_texts()) >= 20
    mine = tmp_path / "mine.txt"
    mine.write_text("one two\n\n\nthree\n", encoding="utf-8")
    assert natural_texts(str(mine)) == ["one two", "three"]
    mine.write_bytes(b"\xff\xfe\x00")
    for wrong in (str(mine), str(tmp_path / "none.txt")):
        with pytest.raises(UsageError, match="cannot read"):
            natural_texts(wrong)
    mine.write_text(" \n", encoding="utf-8")
    with pytest.raises(UsageError, match="has none"):
        natural_texts(str(mine))
