"""Every setting of a Hugging Face config is honoured, known to be harmless, or refused by name."""

import json

import pytest
import torch

import interp
from interp.errors import UnavailableError
from interp.transformer import RotaryScaling
from interp.weights.comparison import reference_in
from interp.weights.huggingface import read_config


def changed(folder, **settings):
    """The folder, with these settings written into its config.json; `None` takes one out."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | settings
    path.write_text(json.dumps({name: it for name, it in config.items() if it is not None}))
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "settings", "named"),
    [
        ("gpt2", {"activation_function": "quick_gelu"}, "activation_function 'quick_gelu'"),
        ("gpt2", {"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ("gpt2", {"is_causal": False}, "is_causal"),
        ("gpt2", {"transformers_weights": "other.safetensors"}, "transformers_weights"),
        ("gpt2", {"layer_types": ["linear_attention"] * 3}, "layer_types"),
        ("gpt2", {"n_head": 0}, "n_head must be at least 1, got 0"),
        ("gpt2", {"n_layer": 10**9}, "n_layer must be at most 10,000, got 1000000000"),
        ("llama", {"num_attention_heads": -6}, "num_attention_heads must be at least 1, got -6"),
        ("llama", {"num_key_value_heads": 0}, "num_key_value_heads must be at least 1"),
        ("llama", {"vocab_size": 10**11}, "vocab_size must be at most 2,147,483,647"),
        ("llama", {"hidden_size": True}, "hidden_size must be an integer, got True"),
        ("qwen3", {"num_hidden_layers": 10**9}, "num_hidden_layers must be at most 10,000"),
        ("qwen3", {"num_hidden_layers": 2.5}, "num_hidden_layers must be an integer, got 2.5"),
        ("neox", {"layer_norm_eps": -1e-5}, "norm_eps must be a finite number of at least 0"),
        ("llama", {"rms_norm_eps": float("nan")}, "rms_norm_eps must be a finite number, got nan"),
        ("gpt2", {"n_head": 5}, "24 does not divide into 5 heads"),
        ("neox", {"head_dim": 16}, "head_dim"),
        ("neox", {"is_causal": 0}, "is_causal"),
        ("neox", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "rope_type"),
        ("neox", {"rotary_pct": 0.25, "rope_parameters": {"partial_rotary_factor": 0}},
         "partial_rotary_factor"),
        ("llama", {"text_config": {"hidden_size": 8}}, "text_config"),
        ("llama", {"per_layer_config": {"1": {"intermediate_size": 20}}}, "per_layer_config"),
        ("llama", {"configuration_files": ["config.4.0.0.json"]}, "configuration_files"),
        ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rope_type"),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0,
                                       "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ("llama", {"hidden_act": "gelu_10"}, "hidden_act 'gelu_10'"),
        ("mistral", {"layer_types": ["full_attention"] * 3}, "layer_types"),
        ("mistral", {"sliding_window": 0}, "sliding_window must be at least 1, got 0"),
        ("qwen2", {"layer_types": ["chunked_attention"] * 3}, "layer_types"),
    ],
)  # fmt: skip
def test_a_setting_that_would_change_the_computation_is_refused_by_name(
    kind, settings, named, saved
):
    folder = changed(saved(kind), **settings)
    with pytest.raises(UnavailableError, match=named) as refused:
        interp.load(folder)
    assert "\n" not in str(refused.value)


def test_what_stands_beside_the_rotary_settings_counts_as_in_hugging_faces_class(saved, tokens):
    folder = saved("llama-biased")
    before = interp.load(folder).run(tokens).logits
    changed(folder, original_max_position_embeddings=8)
    model = interp.load(folder)
    with torch.no_grad():
        expected = reference_in(folder, torch.float32)(tokens).logits
    assert model.config.rotary_scaling.original_n_ctx == 8
    assert (model.run(tokens).logits - expected).abs().max() <= 1e-5
    assert (before - expected).abs().max() > 0.1


def test_an_architecture_that_is_not_supported_is_refused_with_those_that_are(saved):
    folder = changed(saved("llama"), model_type="bloom")
    with pytest.raises(UnavailableError, match="'bloom' is not supported; supported are gpt2, gpt"):
        interp.load(folder)


def test_config_of_every_family_says_what_hugging_face_computes(folder_of):
    gpt2 = interp.load(str(folder_of("gpt2-scaled-by-layer"))).config
    assert (gpt2.d_mlp, gpt2.tied, gpt2.attn_scale_by_layer) == (96, False, True)
    assert gpt2.attn_scale == 6**0.5
    assert interp.load(str(folder_of("gpt2-unscaled-relu"))).config.attn_scale == 1.0
    neox = interp.load(str(folder_of("neox-sequential"))).config
    assert (neox.rotary_dim, neox.parallel) == (4, False)
    linear = interp.load(str(folder_of("llama-linear"))).config
    assert linear.rotary_scaling == RotaryScaling("linear", 2.5)
    biased = interp.load(str(folder_of("llama-biased"))).config
    assert biased.rotary_scaling == RotaryScaling("llama3", 4.0, 1.0, 4.0, 32)
    assert (biased.q_bias, biased.mlp_bias, biased.d_head, biased.tied) == (True, True, 8, True)
    assert interp.load(str(folder_of("mistral"))).config.windows == (5, 5, 5)
    assert interp.load(str(folder_of("mistral-everywhere"))).config.windows == ()
    assert interp.load(str(folder_of("qwen2"))).config.windows == ()
    assert interp.load(str(folder_of("qwen2-windows"))).config.windows == (None, 4, 4)
    qwen3 = interp.load(str(folder_of("qwen3-windows"))).config
    assert (qwen3.windows, qwen3.qk_norm, qwen3.n_kv_heads) == ((6, None, 6), True, 2)


PUBLISHED = {
    "gpt2": {
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "n_ctx": 1024,
        "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "n_embd": 768, "n_head": 12,
        "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": None,
        "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index",
        "summary_use_proj": True, "vocab_size": 50257, "_num_labels": 1,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    },
    "gpt_neox": {
        "architectures": ["GPTNeoXForCausalLM"], "bos_token_id": 0, "eos_token_id": 0,
        "hidden_act": "gelu", "hidden_size": 512, "initializer_range": 0.02,
        "intermediate_size": 2048, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048,
        "num_attention_heads": 8, "num_hidden_layers": 6, "rotary_emb_base": 10000,
        "rotary_pct": 0.25, "tie_word_embeddings": False, "torch_dtype": "float16",
        "transformers_version": "4.24.0", "use_cache": True, "use_parallel_residual": True,
        "vocab_size": 50304,
    },
    "llama": {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 128000, "eos_token_id": [128001, 128008], "head_dim": 64,
        "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
        "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": False,
        "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
        "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
        "rope_scaling": {
            "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3",
        },
        "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True,
        "vocab_size": 128256, "is_llama_config": True, "rope_interleaved": False,
        "transformers.js_config": {"kv_cache_dtype": {"fp16": "float16"}},
    },
    "mistral": {
        "architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
        "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0, "sliding_window": 4096, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": 32000,
    },
    "qwen2": {
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151643, "hidden_act": "silu", "hidden_size": 896,
        "initializer_range": 0.02, "intermediate_size": 4864, "max_position_embeddings": 32768,
        "max_window_layers": 24, "num_attention_heads": 14, "num_hidden_layers": 24,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
        "sliding_window": 32768, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "use_cache": True, "use_mrope": False, "use_sliding_window": False, "vocab_size": 151936,
    },
    "qwen3": {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu",
        "hidden_size": 1024, "initializer_range": 0.02, "intermediate_size": 3072,
        "max_position_embeddings": 40960, "max_window_layers": 28, "num_attention_heads": 16,
        "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
        "rope_scaling": None, "rope_theta": 1000000, "sliding_window": None,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True,
        "use_sliding_window": False, "vocab_size": 151936,
    },
}  # fmt: skip


@pytest.mark.parametrize("family", PUBLISHED)
def test_configs_as_models_are_published_with_them_are_read(family, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[family] | {"model_type": family}))
    config, found = read_config(tmp_path)
    assert found == family
    assert config.d_vocab == PUBLISHED[family]["vocab_size"]
    assert config.windows == ((4096,) * 32 if family == "mistral" else ())
    assert config.rotary_dim == {"gpt2": 0, "gpt_neox": 16, "llama": 64, "qwen2": 64}.get(
        family, 128
    )
