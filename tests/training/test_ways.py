"""Ways to a model of a language: where each begins, what it learns, and from when on it is ahead."""

import numpy as np
import pandas as pd
import pytest

import interp
from interp.tokenizers import bpe
from interp.training import languages, ways
from interp.training.languages import Text, bits_per_byte
from interp.training.ways import BASE, GIVEN, GRAFTED, OWN, TUNED, Compared
from interp.views import languages as shown

EWE = languages.text("ewe")
TEXT = Text(EWE.learnt[:150], EWE.blocks[:5])


@pytest.fixture(scope="module")
def tokenizer():
    return bpe.learn(TEXT.learnt, 280)


def test_a_graft_has_the_bases_layers_and_embeddings_begun_anew(tokenizer):
    base = interp.load("tiny-gpt2")
    models = ways.starts(base, tokenizer, seed=0)
    assert models[TUNED] is base
    new, grafted = (models[way].state_dict() for way in (OWN, GRAFTED))
    for name, weight in grafted.items():
        embeds = name.startswith(("embed.", "unembed."))
        assert weight.equal((new if embeds else base.state_dict())[name]), name
    assert models[OWN].config.d_vocab == len(tokenizer)
    assert not new["blocks.0.attn.W_Q"].equal(grafted["blocks.0.attn.W_Q"])


def test_every_step_is_told_and_the_chosen_ones_measured(tokenizer):
    model = ways.starts(interp.load("tiny-gpt2"), tokenizer, seed=0)[OWN]
    told = []
    began, *later = ways.learning(model, TEXT, 1e-3, {1, 3}, 0, lambda: told.append(1))
    assert [step for step, _ in later] == [1, 3]
    assert len(told) == 3
    assert began[0] == 0
    assert later[-1][1] == pytest.approx(bits_per_byte(model, TEXT.blocks, ways.N_CTX))
    assert later[-1][1].mean() < began[1].mean()


def test_all_ways_are_measured_on_the_same_blocks(tokenizer):
    given = interp.load("tiny-gpt2")
    found = ways.compare(given, "tiny-gpt2", tokenizer, TEXT, {2}, seed=0)
    assert list(found.bits) == [GIVEN, BASE, OWN, TUNED, GRAFTED]
    assert {len(each) for each in found.bits.values()} == {5}
    assert found.bits[GIVEN] == pytest.approx(found.bits[BASE])
    curve = found.curve.set_index(["model", "step"])
    assert curve.bits_per_byte[TUNED, 0] == pytest.approx(found.bits[BASE].mean())
    assert curve.bits_per_byte[TUNED, 2] == pytest.approx(found.bits[TUNED].mean())
    assert found.trained.vocabulary.tolist() == [
        len(tokenizer),
        len(given.tokenizer),
        len(tokenizer),
    ]


def curve(one, other):
    rows = [[way, step, step / 10, bits] for way, line in ((OWN, one), (TUNED, other))
            for step, bits in line.items()]  # fmt: skip
    return pd.DataFrame(rows, columns=["model", "step", "passes", "bits_per_byte"])


@pytest.mark.parametrize(
    ("own", "expected"),
    [([8, 2, 4.6, 1], 30), ([5, 2, 2, 1], 10), ([1, 1, 1, 1], 0), ([1, 1, 1, 3], None)],
)
def test_ahead_is_from_the_last_step_that_was_not(own, expected):
    steps = (0, 10, 20, 30)
    tuned = dict(zip(steps, (5, 5, 4.5, 3), strict=True))
    found = curve(dict(zip(steps, own, strict=True)), tuned)
    assert ways.ahead(found, OWN, TUNED) == expected
    bits = {way: np.full(4, value) for way, value in ((GIVEN, 9.0), (BASE, 1.0), (OWN, 2.5))}
    said = shown.sentence("ewe", Compared(bits, found, pd.DataFrame()))
    assert said.startswith("Ewe: own model needs the fewest bits a byte (2.50; as it is 9.00); ")
    tail = "in none of the 30 steps." if expected is None else f"from step {expected} on."
    assert said.endswith(tail)


def test_two_tokenizers_cut_the_same_lines_beside_each_other(tokenizer):
    found = languages.beside(interp.load("tiny-gpt2").tokenizer, tokenizer, TEXT.held_out)
    own = languages.fit(tokenizer, TEXT.held_out)
    assert found["own_tokens_per_word"] == own.tokens_per_word < found["tokens_per_word"]
    assert list(found)[:2] == ["tokens_per_word", "own_tokens_per_word"]


def test_a_page_has_every_language_and_a_line_for_the_given_model():
    bits = {way: np.arange(4.0) + row for row, way in enumerate((GIVEN, OWN, TUNED))}
    one = Compared(bits, curve({0: 8, 2: 5}, {0: 6, 2: 7}), pd.DataFrame({"model": [OWN]}))
    found = {"ewe": one, "mine.txt": one}
    [first, second] = shown.learning(found)
    assert (first.title, second.title) == ("Ewe, while they learn", "mine.txt, while they learn")
    assert [series.name for series in first.series] == [OWN, TUNED, GIVEN]
    assert list(first.series[-1].y) == [1.5, 1.5]
    apart = shown.apart(found, [(OWN, TUNED), (TUNED, GIVEN)])
    bits, differences, sizes = shown.costs(found, apart, steps=2, base="b")[2:]
    assert bits.frame.bits_per_byte.tolist() == [1.5, 2.5, 3.5] * 2
    assert differences.frame.difference.tolist() == [-1, 2, -1, 2]
    assert sizes.frame.language.tolist() == ["ewe", "mine.txt"]
    assert [each.value for each in shown.headlines(apart, (OWN, TUNED), "less")] == [-1, -1]
    assert shown.curves(found).frame.language.tolist() == ["ewe"] * 4 + ["mine.txt"] * 4
