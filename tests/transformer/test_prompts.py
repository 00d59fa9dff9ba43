"""What a model can read, and what it says of what it cannot."""

import numpy as np
import pytest
import torch

from interp.errors import UsageError


@pytest.fixture(scope="module")
def tokenizer():
    """A Hugging Face tokenizer of nine words that joins nothing and adds nothing."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<pad>", "<bos>", "the", "store", "Mary", "John", "went", "to"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", bos_token="<bos>"
    )


@pytest.fixture
def reader(build, tokenizer):
    return build({}, tokenizer=lambda: tokenizer)


def test_text_is_read_as_its_tokens(reader):
    run = reader.run("Mary went to the store")
    assert run.tokens.tolist() == [[5, 7, 8, 3, 4]]
    assert torch.equal(run.logits, reader.run(torch.tensor([[5, 7, 8, 3, 4]])).logits)
    assert reader.to_tokens("Mary went").tolist() == [[5, 7]]
    assert reader.to_tokens("Mary went", prepend_bos=True).tolist() == [[2, 5, 7]]
    assert reader.to_str_tokens("Mary went to") == ["Mary", " went", " to"]
    assert reader.to_str_tokens(torch.tensor([5, 2])) == ["Mary", "<bos>"]


def test_a_bos_is_never_there_twice(build, tokenizer):
    from copy import deepcopy

    from tokenizers.processors import TemplateProcessing

    begins = deepcopy(tokenizer)
    begins.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 2)]
    )
    model = build({}, tokenizer=lambda: begins)
    once = [[2, 5, 7]]
    for text in ("Mary went", "<bos> Mary went", "<bos>Mary went"):
        assert model.to_tokens(text).tolist() == once
        assert model.to_tokens(text, prepend_bos=True).tolist() == once
        assert model.run(text).tokens.tolist() == once
        assert model.to_str_tokens(text)[0] == "<bos>"
    assert model.to_tokens("Mary went", prepend_bos=False).tolist() == [[5, 7]]
    assert model.run(["<bos> Mary went", "John"]).tokens.tolist() == [[2, 5, 7], [2, 6, 1]]
    assert model.to_single_token("Mary") == 5


def test_a_list_of_prompts_gives_a_list_of_texts_for_each(reader):
    both = [["Mary", " went"], ["John"]]
    assert reader.to_str_tokens(["Mary went", "John"]) == both
    assert reader.to_str_tokens(("Mary went", "John")) == both
    assert reader.to_str_tokens([[5, 7], [6]]) == both
    assert reader.to_str_tokens([torch.tensor([5, 7]), torch.tensor([6])]) == both
    assert reader.to_str_tokens(torch.tensor([[5, 7], [6, 8]])) == [
        ["Mary", " went"],
        ["John", " to"],
    ]
    one = ["Mary", " went"]
    assert reader.to_str_tokens([5, 7]) == one
    assert reader.to_str_tokens(torch.tensor([[5, 7]])) == one
    assert reader.to_str_tokens(np.array([5, 7])) == one


def test_a_single_token_goes_to_text_and_back_or_is_refused(reader):
    for token in range(9):
        assert reader.to_single_token(reader.to_single_str_token(token)) == token
    assert reader.to_single_str_token(30) == "<token 30>"
    for wrong, message in (
        ("Mary went", "'Mary went' is not one token: it is 2: 'Mary', ' went'"),
        ("", "is empty"),
        (7, "expected the text of one token, got 7"),
    ):
        with pytest.raises(UsageError, match=message):
            reader.to_single_token(wrong)
    for wrong in (37, -1, 10**30):
        with pytest.raises(UsageError, match="is outside the vocabulary 0…36 of tiny"):
            reader.to_single_str_token(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "expected a text, a list of texts, or integer token ids .*, got NoneType None"),
        (3, "got int 3"),
        (2.5, "got float 2.5"),
        (b"Mary", "got bytes b'Mary'"),
        ({"Mary"}, "got set {'Mary'}"),
        ({"input_ids": [1]}, "got a mapping; give its input_ids, and its attention_mask"),
        (["Mary", 3], "expected texts alone in a list of texts, got 3"),
        (["Mary", None], "got None"),
        ([1.5, 2.0], r"a list of integer token ids for each prompt, got list \[1.5, 2.0\]"),
        ([[1, 2], [3.0]], r"got list \[3.0\]"),
        ([True, False], "a list of integer token ids for each prompt"),
        ([10**30], "token id beyond 64 bits is outside the vocabulary 0…36 of tiny"),
        ([[1, -2]], "token id -2 is outside the vocabulary"),
        (torch.tensor([0.5]), "expected integer token ids"),
        ("", "got an empty prompt"),
        ("\ud800", "the tokenizer of tiny cannot read the text"),
    ],
    ids=repr,
)
def test_what_is_no_prompt_is_told_in_a_sentence(reader, wrong, message):
    for read in (reader.run, reader.to_str_tokens):
        with pytest.raises(UsageError, match=message) as raised:
            read(wrong)
        assert len(str(raised.value)) < 300


def test_to_tokens_reads_texts_alone(reader):
    for wrong in ([1, 2], torch.tensor([1, 2]), None):
        with pytest.raises(UsageError, match="expected a text"):
            reader.to_tokens(wrong)


def test_one_list_of_ids_and_arrays_are_prompts(reader):
    wanted = reader.run(torch.tensor([[5, 7, 8]])).logits
    for same in (
        [5, 7, 8],
        (5, 7, 8),
        np.array([5, 7, 8]),
        np.array([[5, 7, 8]]),
        [np.array([5, 7, 8])],
    ):
        assert torch.equal(reader.run(same).logits, wanted)


def test_texts_of_unequal_length_are_padded_and_masked(reader):
    texts = ["Mary went to the store", "John", "Mary and John"]
    run = reader.run(texts)
    assert run.tokens.tolist() == [[5, 7, 8, 3, 4], [6, 1, 1, 1, 1], [5, 0, 6, 1, 1]]
    assert run.real.sum(-1).tolist() == [5, 1, 3]
    for example, text in enumerate(texts):
        alone = reader.run(text).logits[0]
        torch.testing.assert_close(run.logits[example, : len(alone)], alone, rtol=1e-10, atol=1e-10)
    with pytest.raises(UsageError, match="differ in length"):
        reader.to_tokens(texts)


def test_texts_are_padded_with_a_token_that_has_no_row_in_the_model(build, tokenizer):
    from copy import deepcopy

    widened = deepcopy(tokenizer)
    widened.add_special_tokens({"pad_token": "<padding>"})
    model = build({"d_vocab": 9, "d_vocab_out": 9}, tokenizer=lambda: widened)
    assert widened.pad_token_id == 9
    run = model.run(["Mary went to the store", "John"])
    assert run.real.sum(-1).tolist() == [5, 1]
    torch.testing.assert_close(
        run.logits[1, :1], model.run("John").logits[0], rtol=1e-10, atol=1e-10
    )


def test_the_tokenizer_is_loaded_once_and_only_when_used(build, tokenizer, tokens):
    loads = []
    model = build({}, tokenizer=lambda: loads.append(1) or tokenizer)
    model.run(tokens)
    assert loads == []
    model.run("Mary")
    model.run("John")
    assert loads == [1]


def test_text_for_a_model_without_a_tokenizer_is_refused(build):
    with pytest.raises(UsageError, match=r"tiny has no tokenizer; give token ids"):
        build({}).run("Mary went")


def test_token_ids_of_every_whole_type_and_one_prompt_alone_are_read(build, tokens):
    model = build({})
    logits = model.run(tokens).logits
    for dtype in (torch.int32, torch.int16, torch.uint8):
        assert torch.equal(model.run(tokens.to(dtype)).logits, logits)
    assert torch.equal(model.run(tokens.tolist()).logits, logits)
    alone = model.run(tokens[2], attention_mask=torch.ones(7)).logits
    torch.testing.assert_close(alone[0], logits[2], rtol=1e-12, atol=1e-12)


IDS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (IDS.float(), r"expected integer token ids \[batch pos\], got torch.float32"),
        (IDS.bool(), "expected integer token ids"),
        (IDS[None], r"of shape \[1, 2, 4\]"),
        (torch.tensor(3), r"of shape \[\]"),
        (IDS + 29, "token id 37 is outside the vocabulary 0…36 of tiny"),
        (IDS - 2, "token id -1 is outside"),
        ([[1, 2], [3, 40]], "token id 40 is outside"),
        (torch.zeros(1, 14, dtype=torch.int64), "has 14 tokens, tiny reads at most 13"),
        (torch.zeros(2, 0, dtype=torch.int64), "got an empty prompt"),
        (torch.zeros(0, 3, dtype=torch.int64), "got an empty prompt"),
        ([], "got an empty prompt"),
        ([[1, 2], []], "got an empty prompt"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(build, prompts, message):
    model = build({})
    with pytest.raises(UsageError, match=message):
        model.run(prompts)
    with pytest.raises(UsageError, match=message):
        model(prompts)


def test_an_empty_text_is_refused(reader):
    for prompts in ("", ["Mary", ""]):
        with pytest.raises(UsageError, match="got an empty prompt"):
            reader.run(prompts)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([[1, 0, 1, 1], [1, 1, 1, 1]], "got one with holes"),
        ([[0, 1, 0, 1], [1, 1, 1, 1]], "got one with holes"),
        ([[0, 0, 0, 0], [1, 1, 1, 1]], "got an empty prompt"),
        ([[1, 1, 1], [1, 1, 1]], r"must have the tokens' shape \[2, 4\], got \[2, 3\]"),
        ([[0, 0, 0, 1], [1, 1, 1, 2]], "1 on tokens and 0 on padding"),
        ([[0.0, 0.0, 0.0, -1e9], [0.0, 0.0, 0.0, 0.0]], "1 on tokens and 0 on padding"),
    ],
)
def test_masks_that_cannot_be_meant_are_refused(build, mask, message):
    with pytest.raises(UsageError, match=message):
        build({}).run(IDS, attention_mask=torch.tensor(mask))


def test_text_masks_itself(reader):
    with pytest.raises(UsageError, match="text is masked by itself"):
        reader.run("Mary went", attention_mask=torch.ones(1, 2))


def test_padding_does_not_count_against_the_context(build):
    model = build({})
    mask = torch.zeros(1, 20, dtype=torch.int64)
    mask[:, 7:] = 1
    ids = torch.arange(20)[None]
    torch.testing.assert_close(
        model.run(ids, attention_mask=mask).logits[:, 7:],
        model.run(ids[:, 7:]).logits,
        rtol=1e-10,
        atol=1e-10,
    )


@pytest.mark.parametrize(
    "at",
    [
        4,
        -5,
        [0, 4],
        torch.tensor([0, 1, 2]),
        torch.tensor([0, -5]),
        torch.tensor([[0, 1]]),
        torch.tensor([[0], [1], [2]]),
        torch.tensor([[[0]], [[1]]]),
        torch.tensor(1.0),
        torch.tensor([True, False]),
        [],
    ],
)
def test_logits_at_positions_that_are_not_there_are_refused(build, at):
    with pytest.raises(UsageError, match="logits_at"):
        build({}).run(IDS, logits_at=at)
