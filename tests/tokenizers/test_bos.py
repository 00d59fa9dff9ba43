"""Which BOS stands before a prompt, for every kind of tokenizer; never twice."""

import pytest

from interp.errors import UsageError
from interp.tokenizers import Bos, bos_of, encode

END = "<|endoftext|>"
# kind -> what auto puts, what yes puts
PUTS = {
    "llama2": ("<s>", "<s>"),
    "llama2-legacy": ("<s>", "<s>"),
    "llama-silent": ("", "<s>"),
    "llama-told": ("<s>", "<s>"),
    "llama-told-in-vain": ("<s>", "<s>"),
    "llama-denied": ("", "<s>"),
    "llama3": ("<|begin_of_text|>", "<|begin_of_text|>"),
    "gpt2": (END, END),
    "pythia": (END, END),
    "opt": ("</s>", "</s>"),
    "qwen2": ("", END),
    "smollm2-instruct": (END, END),
    "smollm2-base": (END, END),
    "digits": ("", "<s>"),
    "bert": ("[CLS]", "[CLS]"),
}


@pytest.mark.parametrize("kind", PUTS)
def test_auto_puts_what_the_files_say_and_yes_and_no_are_obeyed(tokenizer, kind):
    read = tokenizer(kind)
    for choice, wanted in zip(("auto", "yes", "no"), (*PUTS[kind], ""), strict=True):
        found = bos_of(read, choice)
        assert found.text == wanted
        assert found.token == (read.convert_tokens_to_ids(wanted) if wanted else None)


@pytest.mark.parametrize("kind", PUTS)
def test_a_text_is_read_after_its_bos_once_whether_or_not_it_begins_with_it(tokenizer, kind):
    read = tokenizer(kind)
    plain = read("When Mary went", add_special_tokens=False)["input_ids"]
    for choice in ("auto", "yes"):
        bos = bos_of(read, choice)
        own = read("When Mary went")["input_ids"]
        ids = encode(read, "When Mary went", bos)
        if choice == "auto" or bos.own:
            assert ids == own
        else:
            assert ids == [bos.token, *plain]
        if bos.own or choice == "yes":
            assert encode(read, f"{bos.text}When Mary went", bos) == ids
            assert ids.count(bos.token) == 1
    ids = encode(read, "When Mary went", bos_of(read, "no"))
    assert ids[: len(plain)] == plain


def test_a_bos_inside_a_text_stays(tokenizer):
    read = tokenizer("gpt2")
    ids = encode(read, f"{END}Mary{END}John", bos_of(read, "yes"))
    assert ids.count(0) == 2
    assert ids[0] == 0


def test_the_sentence_says_what_is_put_and_why(tokenizer):
    assert bos_of(tokenizer("qwen2")).sentence == (
        "BOS: none before a prompt (auto: the tokenizer names no BOS)."
    )
    assert bos_of(tokenizer("gpt2"), "yes").sentence == (
        "BOS: `<|endoftext|>`, put before every prompt (yes: as asked for)."
    )
    reasons = {bos_of(tokenizer(kind)).why for kind in PUTS}
    assert len(reasons) == 6


def test_a_tokenizer_without_any_token_to_put_refuses_yes_alone(tokenizer):
    read = tokenizer("nameless")
    assert bos_of(read) == Bos("auto", None, "", "the tokenizer names no BOS", ())
    with pytest.raises(UsageError, match=r"no BOS, no EOS and no <\|endoftext\|> to put"):
        bos_of(read, "yes")
    with pytest.raises(UsageError, match="bos must be auto, yes or no, got 'maybe'"):
        bos_of(read, "maybe")


def test_two_tokens_before_every_text_are_refused_with_the_way_out(tokenizer):
    import copy

    from tokenizers.processors import TemplateProcessing

    read = copy.deepcopy(tokenizer("smollm2-instruct"))
    read.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{END} <|im_start|> $A", special_tokens=[(END, 0), ("<|im_start|>", 1)]
    )
    with pytest.raises(UsageError, match="puts 2 tokens before every text, .*choose `no`"):
        bos_of(read)
    assert (
        encode(read, "Mary", bos_of(read, "no"))
        == read("Mary", add_special_tokens=False)["input_ids"]
    )
