"""A tokenizer whose vocabulary has every word of the task lists and every pair of digits."""

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from interp.tasks import (
    capital_country,
    colored_objects,
    docstring,
    gendered_pronoun,
    greater_than,
    ioi,
    subject_verb,
)

BUILT_IN = (
    "ioi",
    "induction",
    "greater_than",
    "gendered_pronoun",
    "subject_verb",
    "capital_country",
    "docstring",
    "colored_objects",
)


def _wordy(digits: int):
    lists = [gendered_pronoun.PLACES, gendered_pronoun.THINGS, capital_country.WHO]
    lists += [ioi.NAMES, ioi.PLACES, ioi.THINGS, greater_than.EVENTS, gendered_pronoun.FEMALE]
    lists += [gendered_pronoun.MALE, subject_verb.NOUNS, capital_country.CAPITALS]
    lists += [docstring.WORDS, colored_objects.COLORS, colored_objects.OBJECTS, "he she is are"]
    words = sorted({word for words in lists for word in words.replace("/", " ").split()})
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens += sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens += [f"Ġ{word}" for word in words]
    if digits == 2:
        tokens += [f"{number:02}" for number in range(100)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    apart = pre_tokenizers.Split(Regex(rf"\d{{1,{digits}}}"), "isolated")
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([apart, bytewise])
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|endoftext|>"],
    )


@pytest.fixture(scope="session")
def tokenizer():
    """Digits one by one, as SmolLM2's; its BOS is the chat's, which is not to be used."""
    return _wordy(digits=1)


@pytest.fixture(scope="session")
def paired_digits():
    """Two digits a token, as GPT-2 has them after the century."""
    return _wordy(digits=2)


@pytest.fixture
def file(tmp_path):
    """Writes a prompt file and returns its path."""

    def write(content, name="mine.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write
