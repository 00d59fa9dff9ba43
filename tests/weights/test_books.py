"""The small English model that ships with the project: there, whole, quick, and better than chance."""

import math
import time

import pytest
import torch

import interp
from interp.training import bpe
from interp.training.loop import NEXT_TOKEN
from interp.weights import loading, stored, zoo

FOLDER = loading._PACKAGED / zoo.BOOKS
# Written for this test: in no book that the model read.
TEXT = (
    "It was late in the evening when they came to the house. The old man opened the door, and looked "
    'at them for a long time without a word. "Come in," he said at last, and the two of them went in.'
)


@pytest.fixture(scope="module")
def model():
    return interp.load(zoo.BOOKS)


def test_it_ships_whole_and_small():
    assert stored.intact(FOLDER)
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 20 * 1024**2
    assert (FOLDER / "README.md").is_file()


def test_it_loads_in_a_second(model):
    began = time.process_time()
    interp.load(zoo.BOOKS)
    assert time.process_time() - began < 1


def test_its_card_and_its_origin_say_where_it_comes_from(model):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert model.origin.weights_sha256 in card
    assert "interp train models/books --text books.txt.gz" in card


def test_it_reads_english_better_than_tokens_by_their_frequency_could_tell(model):
    ids = model.tokenizer(TEXT)["input_ids"]
    tokens = torch.tensor([[bpe.begin(model.tokenizer), *ids]])
    bits = float(NEXT_TOKEN.losses(model, tokens).detach().sum()) / math.log(2) / len(TEXT.encode())
    assert bits < 2.2
    assert model.tokenizer.decode(ids) == TEXT


def test_it_has_a_counterpart_in_hugging_faces_library(model):
    found = interp.weights.check(model, TEXT)
    assert found.largest < 1e-4
    assert found.same_top == 1
