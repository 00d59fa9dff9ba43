"""Tokenizers of the kinds that language models come with, learnt from a line of text."""

import json

import pytest
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

TEXT = [
    "When Mary and John went to the store , John gave a drink to Mary . A cat did n't sit on it ?"
] * 60


def _bytewise(*special, size=420):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[*special],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return backend


def _spaced(legacy):
    """SentencePiece's kind: ▁ before words, bytes for what the vocabulary lacks."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    backend.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=520, special_tokens=special, show_progress=False)
    )
    # The trainer marks the bytes as special, which they are not.
    state = models.BPE(
        vocab=backend.get_vocab(),
        merges=_merges(backend),
        unk_token="<unk>",
        byte_fallback=True,
        fuse_unk=True,
    )
    fresh = Tokenizer(state)
    fresh.add_special_tokens(["<unk>", "<s>", "</s>"])
    if legacy:
        fresh.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        fresh.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    fresh.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return fresh


def _merges(backend):
    return [tuple(merge) for merge in json.loads(backend.to_str())["model"]["merges"]]


def _begun(backend, mark):
    backend.post_processor = processors.TemplateProcessing(
        single=f"{mark} $A",
        pair=f"{mark} $A {mark} $B",
        special_tokens=[(mark, backend.token_to_id(mark))],
    )
    return backend


def _with_bytes_processed(backend):
    """A post-processor of its own, in the place of one that would put the BOS."""
    backend.post_processor = processors.ByteLevel()
    return backend


def _wordpiece():
    words = ["[UNK]", "[CLS]", "[SEP]", "when", "mary", "went", "walk", "##ing", "ing", "to"]
    backend = Tokenizer(
        models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return backend


END, TURN = "<|endoftext|>", "<|im_start|>"
LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
# kind -> (backend, what the tokenizer says of itself)
KINDS = {
    "llama2": lambda: (_begun(_spaced(False), "<s>"), LLAMA),
    "llama2-legacy": lambda: (_begun(_spaced(True), "<s>"), LLAMA),
    "llama-silent": lambda: (_spaced(True), LLAMA),
    "llama-told": lambda: (_spaced(True), LLAMA | {"add_bos_token": True}),
    "llama-told-in-vain": lambda: (
        _with_bytes_processed(_bytewise("<s>", "</s>")),
        {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True},
    ),
    "llama-denied": lambda: (_spaced(True), LLAMA | {"add_bos_token": False}),
    "llama3": lambda: (
        _begun(_bytewise("<|begin_of_text|>", "<|end_of_text|>"), "<|begin_of_text|>"),
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
    ),
    "gpt2": lambda: (_bytewise(END), dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)),
    "pythia": lambda: (
        _bytewise(END),
        dict.fromkeys(("bos_token", "eos_token"), END) | {"add_bos_token": False},
    ),
    "opt": lambda: (
        _begun(_bytewise("</s>"), "</s>"),
        dict.fromkeys(("bos_token", "eos_token"), "</s>"),
    ),
    "qwen2": lambda: (
        _bytewise(END, TURN, "<|im_end|>"),
        {"eos_token": "<|im_end|>", "pad_token": END, "add_bos_token": False},
    ),
    "smollm2-instruct": lambda: (
        _bytewise(END, TURN, "<|im_end|>"),
        {"bos_token": TURN, "eos_token": "<|im_end|>", "unk_token": END},
    ),
    "smollm2-base": lambda: (
        _bytewise(END, TURN, "<|im_end|>"),
        dict.fromkeys(("bos_token", "eos_token"), END),
    ),
    "digits": lambda: (
        _bytewise("<s>", "</s>", size=258),
        {"bos_token": "<s>", "eos_token": "</s>"},
    ),
    "nameless": lambda: (_bytewise(size=256), {}),
    "bert": lambda: (
        _wordpiece(),
        {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"},
    ),
}


def _say(path, told):
    path.write_text(json.dumps(json.loads(path.read_text()) | told))


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """The tokenizer of a kind, as it is loaded from the folder in which it was saved."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    loaded = {}

    def build(kind):
        if kind not in loaded:
            backend, said = KINDS[kind]()
            folder = tmp_path_factory.mktemp("tokenizers") / kind
            # Told when made, it would put the BOS itself.
            told = {name: said.pop(name) for name in ("add_bos_token",) if name in said}
            PreTrainedTokenizerFast(tokenizer_object=backend, **said).save_pretrained(folder)
            _say(folder / "tokenizer_config.json", told)
            loaded[kind] = AutoTokenizer.from_pretrained(folder)
        return loaded[kind]

    return build
