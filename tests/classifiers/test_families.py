"""Every family of sequence classifiers: scores as Hugging Face's pipeline gives them, and each view
shown or left out by itself."""

import warnings
from dataclasses import replace

import pytest
import torch
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as FAMILIES,
)

from interp.classifiers.loading import load
from interp.classifiers.opened import Opened, isolated
from interp.classifiers.pairs import Pair
from interp.errors import NotApplicable, UsageError
from interp.report import Check
from interp.views.pairs import KINDS

WORDS = (
    "a man is eating an apple the woman sleeps dog runs in park . no two three people play music"
)
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
PAIRS = [
    Pair("a man is eating an apple .", "the man is eating"),
    Pair("the woman sleeps", "a dog runs"),
]
_TYPED = (
    "bert albert electra funnel convbert fnet mobilebert big_bird nystromformer rembert roformer "
    "squeezebert megatron-bert ernie roc_bert xlnet canine"
)
TYPED = frozenset(_TYPED.split())
# Sizes by the names that configs give them.
SIZES = {
    32: "hidden_size d_model n_embd dim emb_dim embed_dim embedding_size true_hidden_size "
    "intra_bottleneck_size pooler_hidden_size attention_hidden_size q_lora_rank kv_lora_rank",
    2: "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers "
    "num_decoder_layers num_key_value_heads num_experts_per_tok",
    4: "num_attention_heads n_head n_heads encoder_attention_heads decoder_attention_heads num_heads "
    "num_experts num_local_experts n_routed_experts",
    64: "intermediate_size d_inner encoder_ffn_dim decoder_ffn_dim ffn_dim n_inner hidden_dim d_ff "
    "feed_forward_size moe_intermediate_size shared_expert_intermediate_size "
    "word_embed_proj_dim expert_ffn_hidden_size",
    8: "head_dim d_kv d_head attention_head_size v_head_dim qk_nope_head_dim qk_rope_head_dim",
    66: "max_position_embeddings n_positions max_seq_len",
    1: "n_group topk_group",
}
MLA = {"num_key_value_heads": 4}
OWN = {
    "axk1": MLA,
    "axk2": MLA,
    "bart": {"num_labels": 3},
    "big_bird": {"block_size": 4, "num_random_blocks": 1},
    "canine": {
        "num_hash_buckets": 16,
        "local_transformer_stride": 8,
        "downsampling_rate": 2,
    },
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deepseek_v2": MLA,
    "deepseek_v3": MLA,
    "esm": {"position_embedding_type": "absolute", "token_dropout": False},
    "funnel": {"block_sizes": [1, 1]},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gptj": {"rotary_dim": 4},
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "use_mamba_kernels": False,
        "mamba_d_state": 4,
        "mamba_dt_rank": 4,
    },
    "layoutlmv3": {
        "has_spatial_attention_bias": False,
        "visual_embed": False,
        "coordinate_size": 5,
        "shape_size": 6,
    },
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 10, "entity_emb_size": 16},
    "minicpm3": MLA,
    "mt5": {"decoder_start_token_id": 1},
    "perceiver": {
        "num_latents": 8,
        "d_latents": 32,
        "num_self_attends_per_block": 1,
        "num_self_attention_heads": 4,
        "num_cross_attention_heads": 4,
    },
    "reformer": {
        "axial_pos_shape": [8, 8],
        "axial_pos_embds_dim": [16, 16],
        "attn_layers": ["local", "lsh"],
        "lsh_attn_chunk_length": 8,
        "local_attn_chunk_length": 8,
        "is_decoder": False,
        "num_buckets": 2,
        "max_position_embeddings": 64,
    },
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "roc_bert": {
        "pronunciation_embed_dim": 16,
        "shape_embed_dim": 16,
        "pronunciation_vocab_size": 50,
        "shape_vocab_size": 50,
    },
    "t5": {"decoder_start_token_id": 1},
    "umt5": {"decoder_start_token_id": 1},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
}
# Whose configs nest others, whose sizes contradict each other when all are this small, or which
# read more than tokens.
_NOT_BUILT = (
    "canine cohere_compass_text esmc gemma3 layoutlmv2 lilt mistral4 modernvbert mra qwen3_5 t5gemma "
    "t5gemma2 ultravbert zamba zamba2"
)
NOT_BUILT = frozenset(_NOT_BUILT.split())


def save(kind, folder, **changes):
    """A random classifier of this family, tiny, with the tokenizer of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    words = [*SPECIAL, *dict.fromkeys(WORDS.split())]
    inner = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>")
    )
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    typed = kind in TYPED
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1" if typed else "<s> $A </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    own = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), SPECIAL))  # noqa: B905
    inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if typed else [])]
    PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_input_names=inputs,
        cls_token="<s>",
        sep_token="</s>",
        **own,
    ).save_pretrained(folder)

    config = CONFIG_MAPPING[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known, same = {*config().to_dict(), *config.attribute_map}, config.attribute_map
        given = {name: size for size, names in SIZES.items() for name in names.split()}
        given = {name: size for name, size in given.items() if name in known}
        given = {name: size for name, size in given.items() if same.get(name) not in given}
        given |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "num_labels": 2}
        built = config(**{**given, "vocab_size": len(words), **OWN.get(kind, {}), **changes})
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(built)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(0.3 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    return str(folder)


def differs(model, folder):
    """How far our scores are from those of Hugging Face's pipeline, at most."""
    from transformers import pipeline

    theirs, found = pipeline("text-classification", model=folder, tokenizer=folder), []
    for pair in PAIRS:
        scores = theirs({"text": pair.premise, "text_pair": pair.hypothesis}, top_k=None)
        expected = {each["label"]: each["score"] for each in scores}
        decided = model.decide(model.read(pair).inputs).numpy()
        for number, label in enumerate(model.labels):
            other = replace(model, label=number)
            decided = other.decide(other.read(pair).inputs).numpy()
            found.append(abs(float(other.scores(decided)[0]) - expected[label]))
    return max(found)


def shown(model):
    """The first words of the views that are shown, all of whose checks pass; the rest have reasons."""
    opened, views, reasons = Opened(model, PAIRS, lambda given, what: iter(given)), [], []
    for name, kind in KINDS.items():
        try:
            checks = kind(opened, 2).checks
        except NotApplicable as reason:
            reasons.append(str(reason))
            continue
        assert all(check.passed for check in checks), (name, checks)
        views.append(name.split()[0] + ("*" if "premise" in name else ""))
    assert all(20 < len(reason) < 600 for reason in reasons)
    assert not any("ended with an error" in reason for reason in reasons), reasons
    return " ".join(views)


ALL = "tokens heads heads* parts attention"
VIEWS = {
    "roberta": ALL,
    "mpnet": ALL,
    "gemma2": ALL,
    # Its MLP's output is added to in place.
    "falcon": ALL,
    "deberta-v2": f"{ALL} terms",
    "bart": "tokens",
    "t5": "tokens",
    "longformer": "tokens",
    "xlnet": "tokens attention",
    "funnel": "tokens",
    # Half of its heads are convolutions.
    "convbert": "tokens attention",
    "diffllama": "tokens attention",
    "fnet": "tokens",
    "ibert": "tokens attention",
    "xmod": "tokens heads heads* attention",
    "gpt_oss": "tokens heads heads*",
    "squeezebert": "tokens",
}


# Of those that share a reason, one is enough each time.
SELDOM = {*VIEWS} - {"bart", "xlnet", "funnel", "convbert", "longformer", "ibert"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SELDOM)) for kind in VIEWS]
)
def test_a_family_loses_the_views_it_does_not_support_and_keeps_its_scores(kind, tmp_path):
    folder = save(kind, tmp_path)
    model = load(folder)
    assert differs(model, folder) < 1e-5
    assert shown(model) == VIEWS[kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted({*FAMILIES} - {*VIEWS} - NOT_BUILT))
def test_every_other_family_scores_as_the_pipeline_does_and_shows_what_it_can(kind, tmp_path):
    folder = save(kind, tmp_path)
    model = load(folder)
    assert differs(model, folder) < 1e-5
    assert "tokens" in shown(model)
    if model.limit < 100:
        reading = model.read(PAIRS[0])
        more = model.limit - len(reading.strings)
        model.decide(
            {
                name: torch.cat([each[:, :2], each[:, 1:2].repeat(1, more), each[:, 2:]], 1)
                for name, each in reading.inputs.items()
            }
        )


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["roberta", "deberta-v2", "llama"])
def test_checks_are_held_against_the_number_format(kind, dtype, tmp_path):
    model = load(save(kind, tmp_path), dtype=dtype)
    assert shown(model) == VIEWS.get(kind, ALL)


@pytest.mark.parametrize("kind", ["roberta", "mpnet", "longformer", "esm", "bert"])
def test_the_limit_is_that_of_the_rows_that_are_left_for_text(kind, tmp_path):
    model = load(save(kind, tmp_path, max_position_embeddings=34))
    most = 34 if kind == "bert" else 32
    assert model.limit == most
    whole = Pair("man " * (most - 4), "dog")
    model.decide(model.read(whole).inputs)
    with pytest.raises(UsageError, match=f"has {most + 1} tokens, .* reads at most {most}"):
        model.read(Pair("man " * (most - 3), "dog"))


@pytest.mark.parametrize("kind", ["xlnet", "t5"])
def test_relative_positions_have_no_limit_but_the_tokenizers(kind, tmp_path):
    folder = save(kind, tmp_path)
    model = load(folder)
    long = model.read(Pair("a man " * 100, "dog"))
    assert torch.isfinite(model.decide(long.inputs)).all()
    model.tokenizer.model_max_length = 12
    with pytest.raises(UsageError, match="reads at most 12"):
        model.read(Pair("man " * 20, "dog"))


@pytest.mark.parametrize(
    ("problem", "n_labels", "link"),
    [
        ("regression", 1, "number"),
        ("regression", 3, "number"),
        (None, 1, "sigmoid"),
        (None, 3, "softmax"),
        ("single_label_classification", 3, "softmax"),
        ("multi_label_classification", 3, "sigmoid"),
    ],
)
def test_scores_are_those_of_the_pipeline_for_every_kind_of_problem(
    problem, n_labels, link, tmp_path
):
    folder = save("bert", tmp_path, problem_type=problem, num_labels=n_labels)
    model = load(folder)
    assert model.link == link
    assert differs(model, folder) < 1e-5
    if link == "number":
        logits = model.logits(model.read(PAIRS[0]).inputs)
        assert float(model.decide(model.read(PAIRS[0]).inputs)[0]) == float(logits[0, -1])
        assert model.unit == "output"


def test_a_decoder_reads_at_the_last_token_that_is_no_padding_as_the_pipeline_does(tmp_path):
    # The text ends with what pads.
    folder = save("llama", tmp_path, pad_token_id=2)
    assert differs(load(folder), folder) < 1e-6


def test_an_error_in_a_view_is_its_reason_and_a_failed_check_stays_one():
    with pytest.raises(NotApplicable, match="with an error, ZeroDivisionError: division by zero"):
        isolated(lambda opened, top: 1 / 0)(None, 1)
    with pytest.raises(NotApplicable, match=r"^too long$"):
        isolated(lambda: (_ for _ in ()).throw(UsageError("too long")))()
    failed = Check("sum − whole", 1.0, 1e-3)
    assert not failed.passed
    assert isolated(lambda: failed)() is failed
    with pytest.raises(KeyboardInterrupt):
        isolated(lambda: (_ for _ in ()).throw(KeyboardInterrupt()))()
