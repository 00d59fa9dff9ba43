"""Random classifiers of every kind, saved as Hugging Face saves them; all sizes differ."""

import pytest
import torch

from interp.classifiers.loading import load
from interp.classifiers.pairs import Pair

WORDS = "a man woman boy girl horse bridge red blue walks sits reads on in the of is book bar . ,"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZES = {"vocab_size": 32, "max_position_embeddings": 40, "num_labels": 2}
ENCODER = {
    **SIZES,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 20,
    "pad_token_id": 0,
}
DEBERTA = {
    **ENCODER,
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "pooler_hidden_size": 24,
    "type_vocab_size": 0,
    "position_biased_input": False,
}
DECODER = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4}
KINDS = {
    "bert": ENCODER,
    "roberta": {**ENCODER, "num_labels": 1, "pad_token_id": 0},
    "distilbert": {**SIZES, "dim": 24, "n_layers": 3, "n_heads": 4, "hidden_dim": 20},
    "electra": {**ENCODER, "embedding_size": 16, "num_labels": 3},
    "albert": {**ENCODER, "embedding_size": 16},
    "deberta": DEBERTA,
    "deberta-v2": {**DEBERTA, "position_buckets": 4, "norm_rel_ebd": "layer_norm"},
    "gpt2": {"vocab_size": 32, "n_positions": 40, "n_embd": 24, "n_layer": 3, "n_head": 4},
    "llama": {**SIZES, **DECODER, "intermediate_size": 20, "num_key_value_heads": 2},
}
PAIRS = [
    Pair("a man walks on the red bridge .", "a man is on a bridge"),
    Pair("a man walks on the red bridge .", "a boy reads"),
    Pair("the woman reads a book in the bar", "a book is in the bar , red ."),
    Pair("a horse sits", "the girl walks in the blue bar of a boy"),
]


def tokenizer(kind):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS.split()])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if kind not in ("gpt2", "llama"):
        inner.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
    named = {"unk_token": "[UNK]", "mask_token": "[MASK]", "pad_token": "[PAD]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"]
        if kind in ("bert", "albert", "electra")
        else ["input_ids", "attention_mask"],
        **named,
    )


def save(kind, folder, **changes):
    """A random classifier, whose norms and biases are random too."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    generator = torch.Generator().manual_seed(len(kind))
    config = AutoConfig.for_model(kind, **{**KINDS[kind], **changes})
    model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    tokenizer(kind).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """The folder of each kind, made when first asked for."""
    made = {}

    def folder(kind, **changes):
        key = (kind, *sorted(changes))
        if key not in made:
            made[key] = save(kind, tmp_path_factory.mktemp(kind) / "model", **changes)
        return made[key]

    return folder


@pytest.fixture(scope="session")
def classifiers(folders, tmp_path_factory):
    """The loaded classifier of each kind, in float64."""
    loaded, cache = {}, tmp_path_factory.mktemp("cache")

    def classifier(kind, **changes):
        key = (kind, *sorted(changes))
        if key not in loaded:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("INTERP_CACHE", str(cache))
                loaded[key] = load(str(folders(kind, **changes)), dtype=torch.float64)
        return loaded[key]

    return classifier


@pytest.fixture(scope="session")
def some():
    """Pairs of four sentences in three premises."""
    return PAIRS
