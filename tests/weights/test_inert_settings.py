"""Settings that no forward pass reads are no obstacle, whatever they say: Hugging Face's class is asked."""

import json
import warnings

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import interp
from interp.weights import huggingface
from interp.weights.comparison import reference_in

ROUNDING = 1e-5
FAMILIES = ("gpt2", "neox", "llama", "mistral", "qwen2", "qwen3")
# What published configs say: generation, training, other heads, code that comes with a model, other tools.
INERT = {
    "n_special": 0, "predict_special_tokens": True, "output_past": True, "n_ctx": 20, "num_layers": 7,
    "tokenizer_class": "GPT2Tokenizer", "auto_map": {"AutoModelForCausalLM": "modeling.Model"},
    "_attn_implementation_autoset": True, "_flash_attn_2_enabled": True, "_name_or_path": "a/b",
    "_commit_hash": "abc", "_num_labels": 1, "num_labels": 10**9, "finetuning_task": "mnli",
    "hidden_dropout_prob": 0.1, "resid_pdrop": 0.7, "attention_dropout": 0.5, "embd_pdrop": 0.5,
    "classifier_dropout": 0.5, "layerdrop": 0.3, "initializer_range": 0.5, "init_std": 3.0,
    "gradient_checkpointing": True, "use_cache": False, "pretraining_tp": 4, "torchscript": True,
    "use_bfloat16": True, "tf_legacy_loss": True, "chunk_size_feed_forward": 2, "torch_dtype": "bfloat16",
    "pruned_heads": {"0": [1]}, "tie_encoder_decoder": True, "is_decoder": True, "cross_attention": 3,
    "is_encoder_decoder": True, "add_cross_attention": True, "cross_attention_hidden_size": 8,
    "do_sample": True, "max_length": 50, "temperature": 0.7, "top_k": 5, "num_beams": 3,
    "bad_words_ids": [[1]], "task_specific_params": {"text-generation": {"max_length": 50}},
    "return_dict_in_generate": True, "output_attentions": True, "output_hidden_states": True,
    "bos_token_id": 999, "eos_token_id": [5, 6], "pad_token_id": -1, "sep_token_id": 3,
    "decoder_start_token_id": 0, "suppress_tokens": [1], "problem_type": None, "prefix": "x",
    "summary_type": "mean", "summary_use_proj": False, "reorder_and_upcast_attn": True,
    "id2label": {"0": "yes", "1": "no", "2": "maybe"}, "label2id": {"yes": 0, "no": 1, "maybe": 2},
    "unsloth_version": "2025.1", "unsloth_fixed": True, "use_mrope": True, "rope_interleaved": True,
    "is_llama_config": True, "transformers.js_config": {"dtype": "q4"}, "quantization": {"bits": 4},
    "keys_to_ignore_at_inference": ["past_key_values"], "base_model_tp_plan": {}, "model_max_length": 7,
    "qk_layernorm": True, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 3.0,
    "residual_multiplier": 0.5, "logits_scaling": 8.0, "num_experts": 8, "clip_qkv": 0.1, "alibi": True,
    "a setting of tomorrow": [1, {"x": None}], "to_dict": 3, "__class__": "x", "is_causal": True,
    "quantization_config": None, "text_config": None, "per_layer_config": {}, "rope_scaling": None,
}  # fmt: skip
# What Hugging Face's class of another family reads, and that of this one does not.
FOREIGN = {
    "gpt2": {"sliding_window": 3, "rope_theta": 30.0, "head_dim": 4, "attention_bias": False,
             "rope_scaling": {"type": "linear", "factor": 4.0}, "layer_types": ["full_attention"] * 3},
    "neox": {"sliding_window": 3, "mlp_bias": True, "head_dim": 8, "rms_norm_eps": 0.5},
    "llama": {"sliding_window": 3, "layer_types": ["full_attention"] * 3, "use_sliding_window": True,
              "layer_norm_eps": 0.5, "partial_rotary_factor": 0.5},
    "mistral": {"attention_bias": True, "mlp_bias": True, "max_window_layers": 1,
                "layer_types": ["sliding_attention"] * 3},
    "qwen2": {"attention_bias": False, "mlp_bias": True, "sliding_window": 3, "max_window_layers": 1},
    "qwen3": {"mlp_bias": True, "sliding_window": 3, "scale_attn_weights": False},
}  # fmt: skip
# Hugging Face's library itself cannot load a config with these.
TOO_MUCH = ("to_dict", "__class__", "num_labels", "is_encoder_decoder", "pad_token_id")


def write(folder, changed, **settings):
    config = json.loads((folder / "config.json").read_text())
    changed.mkdir()
    (changed / "config.json").write_text(json.dumps(config | settings))
    (changed / "model.safetensors").symlink_to(folder / "model.safetensors")
    return changed


def logits_of_theirs(folder, tokens):
    with torch.no_grad(), warnings.catch_warnings():
        # Of names that are no longer the usual ones.
        warnings.simplefilter("ignore", FutureWarning)
        return reference_in(folder, torch.float32)(tokens).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_what_no_forward_pass_reads_is_no_obstacle_and_changes_nothing(
    family, folder_of, tokens, tmp_path
):
    folder, settings = folder_of(family), INERT | FOREIGN[family]
    expected = logits_of_theirs(folder, tokens)
    bearable = {name: it for name, it in settings.items() if name not in TOO_MUCH}
    theirs = logits_of_theirs(write(folder, tmp_path / "all", **bearable), tokens)
    assert (theirs - expected).abs().max() <= ROUNDING
    model = interp.load(write(folder, tmp_path / "everything", **settings))
    assert (model.run(tokens).logits - expected).abs().max() <= ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_each_of_them_alone_changes_nothing(family, folder_of, tokens, tmp_path):
    folder = folder_of(family)
    expected, config = logits_of_theirs(folder, tokens), huggingface.read_config(folder)
    for number, (name, value) in enumerate((INERT | FOREIGN[family]).items()):
        changed = write(folder, tmp_path / str(number), **{name: value})
        assert huggingface.read_config(changed) == config, name
        if name not in TOO_MUCH:
            assert (logits_of_theirs(changed, tokens) - expected).abs().max() <= ROUNDING, name


# Names that the library looks for in any config, and what is said of them here.
LOOKED_FOR = {
    *("attn_implementation", "_attn_implementation", "_attn_implementation_internal"),
    *("_experts_implementation", "_experts_implementation_internal", "name_or_path", "_name_or_path"),
    *("output_attentions", "_output_attentions", "output_cross_attentions", "num_labels", "auto_map"),
    *("gradient_checkpointing", "_rope_type_labels", "num_heads", "rope_parameters", "_post_init_done"),
    *("mlp_layer_types", "mtp_layer_types", "vision_aspect_ratio", "vision_feature_layer"),
    *("vision_feature_select_strategy", "sliding_window", "attention_chunk_size", "_heterogeneity_spec"),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_every_name_that_the_library_looks_for_in_a_config_is_known_here(
    family, folder_of, tokens, monkeypatch
):
    kind, read = type(AutoConfig.from_pretrained(folder_of(family))), set()
    found = kind.__getattribute__

    def noted(self, name):
        read.add(name)
        return found(self, name)

    monkeypatch.setattr(kind, "__getattribute__", noted)
    model = AutoModelForCausalLM.from_pretrained(folder_of(family), attn_implementation="eager")
    with torch.no_grad():
        model.eval()(tokens)
    monkeypatch.undo()
    known = {*huggingface._READ.split(), *huggingface._ROTARY.split(), *LOOKED_FOR}
    known |= {"is_causal", "layer_types", "head_dim"}
    strange = {
        name for name in read if not (name.startswith("__") or hasattr(kind(), name))
    } - known
    assert not strange, "does a forward pass depend on them?"


def test_weights_of_attention_to_an_encoder_are_left_unused(folder_of, tokens, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = folder_of("gpt2")
    settings = json.loads((folder / "config.json").read_text())
    config = AutoConfig.for_model(**settings | {"add_cross_attention": True})
    torch.manual_seed(0)
    whole = AutoModelForCausalLM.from_config(config).state_dict()
    whole |= load_file(folder / "model.safetensors")
    del whole["lm_head.weight"]
    assert any("crossattention" in name for name in whole)
    (tmp_path / "config.json").write_text(json.dumps(settings | {"add_cross_attention": True}))
    save_file(whole, tmp_path / "model.safetensors", metadata={"format": "pt"})
    expected = logits_of_theirs(tmp_path, tokens)
    assert (interp.load(tmp_path).run(tokens).logits - expected).abs().max() <= ROUNDING
