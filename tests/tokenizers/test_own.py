"""The project's own tokenizers: learnt from a text, and of letters."""

import numpy as np
import pytest

from interp.errors import UsageError
from interp.tokenizers import bpe, letters
from interp.tokenizers.letters import END

STORY = (
    """The fox saw the grapes. The grapes hung high, and the fox could not reach them.
Sour are the grapes that others eat, said he, walking away.
"""
    * 40
)


@pytest.fixture(scope="module")
def tokenizer():
    return bpe.learn([STORY], 300)


@pytest.mark.parametrize("text", [STORY, "naïve café 日本 🙂", "<s>\t\x07  two  spaces\r\n", "fox"])
def test_a_learnt_tokenizer_loses_nothing(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_learnt_tokenizer_has_the_size_asked_for_and_learns_the_words(tokenizer):
    assert len(tokenizer) == 300
    assert len(tokenizer(" grapes fox")["input_ids"]) == 2
    assert tokenizer.bos_token == tokenizer.eos_token == END


@pytest.mark.parametrize(("text", "size"), [("abc", 300), (STORY, 5000), (STORY, 256)])
def test_a_vocabulary_that_the_text_cannot_fill_is_refused(text, size):
    with pytest.raises(UsageError, match=f"{size}|257"):
        bpe.learn([text], size)


def test_every_document_follows_an_end_of_text(tokenizer):
    tokens = bpe.encode(tokenizer, [STORY, "fox", STORY])
    assert tokens.dtype == np.uint16
    assert (tokens == 0).sum() == 3
    assert tokens[0] == 0
    assert tokenizer.decode(tokens[tokens != 0].tolist()) == STORY + "fox" + STORY


def test_documents_are_shuffled_and_none_is_lost():
    texts = [str(index) for index in range(20)]
    shuffled = bpe.shuffled(texts, seed=0)
    assert shuffled != texts
    assert sorted(shuffled) == sorted(texts)
    assert bpe.shuffled(texts, seed=0) == shuffled


@pytest.mark.parametrize("size", [3, 65, 300])
def test_letters_are_a_token_each_and_come_out_as_they_went_in(size):
    tokenizer = letters.tokenizer(size)
    assert len(tokenizer) == size
    ids = list(range(1, size))
    text = tokenizer.decode(ids)
    assert len(set(text)) == len(text) == size - 1
    assert tokenizer(text)["input_ids"] == ids
    assert tokenizer("! ")["input_ids"] == [0, 0]
