"""The text of tokens: put together it is the text, and two tokens have two texts."""

from collections import Counter

import pytest

from interp.errors import UsageError
from interp.tokenizers import single_token, token_text, token_texts

BYTEWISE = ("llama3", "gpt2", "qwen2", "smollm2-instruct", "digits", "nameless")
SPACED = ("llama2", "llama2-legacy", "llama-silent")
TEXTS = (
    "When Mary and John went to the store",
    "Mary",
    "  two spaces,  and more ",
    "John gave a drink\nto Mary\tnow",
    "A cat didn't sit on it ?",
)


@pytest.mark.parametrize("kind", BYTEWISE + SPACED)
@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_of_a_prompts_tokens_put_together_are_its_text(tokenizer, kind, text):
    read = tokenizer(kind)
    whole = read(text)["input_ids"]
    plain = read(text, add_special_tokens=False)["input_ids"]
    before = "" if len(whole) == len(plain) else read.bos_token
    assert "".join(token_texts(read, whole, text)) == before + text
    assert "".join(token_texts(read, plain, text)) == text
    if len(plain) > 1:
        assert "".join(token_texts(read, plain)) == text
        assert "".join(token_texts(read, whole)) == before + text


@pytest.mark.parametrize("kind", BYTEWISE + SPACED + ("bert",))
def test_two_tokens_have_two_texts_and_none_is_empty(tokenizer, kind):
    read = tokenizer(kind)
    texts = [token_text(read, token) for token in range(len(read) + 3)]
    assert [text for text, count in Counter(texts).items() if count > 1] == []
    assert all(texts)
    assert texts[-1] == f"<token {len(read) + 2}>"
    for token, text in zip(range(len(read)), texts, strict=False):
        assert token_text(read, token) == text


@pytest.mark.parametrize("kind", SPACED)
def test_a_words_token_with_its_space_looks_unlike_the_one_without(tokenizer, kind):
    read = tokenizer(kind)
    pairs = [
        (token, read.convert_tokens_to_ids(word[1:]))
        for word, token in read.get_vocab().items()
        if word.startswith("▁") and word[1:] in read.get_vocab()
    ]
    assert len(pairs) > 5
    for spaced, bare in pairs:
        assert token_text(read, spaced) == f" {token_text(read, bare)}"
        assert token_texts(read, [bare, spaced]) == [token_text(read, it) for it in (bare, spaced)]
        assert token_texts(read, [spaced]) == [token_text(read, spaced)]


def test_bytes_that_are_no_character_are_shown_as_bytes(tokenizer):
    spaced, bytewise = tokenizer("llama2"), tokenizer("gpt2")
    euro = ["<0xE2>", "<0x82>", "<0xAC>"]
    for read in (spaced, bytewise):
        ids = read("a€", add_special_tokens=False)["input_ids"]
        assert token_texts(read, ids, "a€")[-3:] == euro
    # No other token of this vocabulary is a newline; there is one of the letter.
    newline, letter = (spaced.convert_tokens_to_ids(byte) for byte in ("<0x0A>", "<0x61>"))
    assert token_text(spaced, newline) == "\n"
    assert token_text(spaced, letter) == "<0x61>"


def test_special_tokens_are_their_names_wherever_they_stand(tokenizer):
    read = tokenizer("llama2-legacy")
    ids = read("Mary<s>John</s>")["input_ids"]
    assert token_texts(read, ids) == ["<s>", "Mary", "<s>", "John", "</s>"]


def test_pieces_that_only_the_decoder_joins_are_told_apart(tokenizer):
    read = tokenizer("bert")
    ids = read("When Mary went walking to")["input_ids"]
    assert token_texts(read, ids) == [
        *("[CLS]", "when", " mary", " went", " walk", "ing", " to", "[SEP]")
    ]
    assert [token_text(read, read.convert_tokens_to_ids(it)) for it in ("ing", "##ing")] == [
        *("ing", "##ing")
    ]


@pytest.mark.parametrize("kind", SPACED + BYTEWISE)
def test_a_single_token_is_that_of_the_text_behind_others(tokenizer, kind):
    read = tokenizer(kind)
    for text in (" Mary", " John", "\n", "?"):
        try:
            token = single_token(read, text)
        except UsageError:
            assert kind in ("digits", "nameless")
            assert len(read(text, add_special_tokens=False)["input_ids"]) > 1
            continue
        assert token not in read.all_special_ids
        assert token_text(read, token) == text
    if read.bos_token:
        assert single_token(read, read.bos_token) == read.bos_token_id


def test_what_is_not_one_token_is_refused_with_its_parts_and_the_word_that_would_be(tokenizer):
    read = tokenizer("gpt2")
    with pytest.raises(UsageError, match=r"'Mary' is not one token: .* ' Mary', it is one"):
        single_token(read, "Mary")
    with pytest.raises(UsageError, match=r"it is 2: ' Mary', ' and'"):
        single_token(read, " Mary and")
    with pytest.raises(UsageError, match="not one token: it is empty"):
        single_token(read, "")
