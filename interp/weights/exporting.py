"""Models out: as a folder that Hugging Face's library loads, and as the folder of our own.

Each family's function undoes what the function of the same name in `families` does.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from interp.errors import UsageError
from interp.transformer import Config, Transformer
from interp.transformer.classifying import Classifying
from interp.weights import stored

Weights = Mapping[str, Tensor]


def family(config: Config) -> str:
    """The Hugging Face architecture, gpt2 or llama, that computes the same.

    Raises  UsageError saying what neither of them has.
    """
    lacks = {
        name: [what for what, wrong in tests(config).items() if wrong]
        for name, tests in _LACKS.items()
    }
    for name, reasons in lacks.items():
        if not reasons:
            return name
    name = min(lacks, key=lambda name: len(lacks[name]))
    raise UsageError(
        f"Hugging Face's library has no model of this shape: the nearest, {name}, has no "
        f"{', no '.join(lacks[name])}"
    )


def export(model: Transformer, folder: Path, dtype: torch.dtype | None = None) -> str:
    """Config, weights, tokenizer where there is one, and our own description; returns the family.

    Raises  UsageError for a shape that Hugging Face's library does not have.
    """
    kind = family(model.config)
    if model.has_tokenizer:
        model.tokenizer.save_pretrained(folder)
    write(folder, model, model.origin.notes, dtype)
    return kind


def write(
    folder: Path, model: Transformer, notes: Sequence[str] = (), dtype: torch.dtype | None = None
) -> None:
    """Weights and description of a model of any shape, beside the files that are there already;
    under Hugging Face's names and with its config too where its library has such a model."""
    dtype = dtype or model.dtype
    labels = model.labels if isinstance(model, Classifying) else ()
    try:
        kind = family(model.config)
    except UsageError:
        if labels:
            raise
        tensors = {
            name: it.detach().to(dtype).contiguous() for name, it in model.named_parameters()
        }
        stored.write(folder, stored.OWN, model.config, tensors, notes)
        return
    head = _classifying(kind, labels, model) if labels else {}
    write_config(folder, kind, model.config, dtype, head)
    stored.write(folder, kind, model.config, _tensors(kind, model, dtype), notes, labels)


def _tensors(kind: str, model: Transformer, dtype: torch.dtype) -> dict[str, Tensor]:
    weights = {name: it.detach() for name, it in model.named_parameters()}
    named = _WEIGHTS[kind](model.config, weights)
    if isinstance(model, Classifying):
        named[stored.HEAD] = weights["head.W_C"].T
    return {name: tensor.to(dtype).contiguous().cpu() for name, tensor in named.items()}


def _classifying(kind: str, labels: Sequence[str], model: Transformer) -> dict[str, Any]:
    names = {"gpt2": "GPT2ForSequenceClassification", "llama": "LlamaForSequenceClassification"}
    return {
        "architectures": [names[kind]],
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
        "problem_type": "single_label_classification",
        "pad_token_id": model.tokenizer.pad_token_id,
    }


def write_config(
    folder: Path, kind: str, config: Config, dtype: torch.dtype, head: Mapping[str, Any]
) -> None:
    """The config with which Hugging Face loads the folder, with what a `head` or a tokenizer adds."""
    values = {**_CONFIGS[kind](config), **head, "dtype": str(dtype).removeprefix("torch.")}
    text = json.dumps(values, indent=1) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def _gpt2_lacks(config: Config) -> dict[str, bool]:
    biases = (config.q_bias, config.kv_bias, config.o_bias, config.mlp_bias)
    return {
        f"norm {config.norm}": config.norm != "layernorm",
        f"positions {config.positions}": config.positions != "learned",
        "attention without MLPs": not config.d_mlp,
        "gated MLP": config.gated,
        "missing bias": not all(biases),
        "fewer key heads than query heads": config.group > 1,
        "d_head other than d_model / n_heads": config.d_head * config.n_heads != config.d_model,
        **_both_lack(config),
        "attention scale of its own": config.attn_scale not in (1.0, config.d_head**0.5),
        "q/k norm": config.qk_norm,
    }


def _llama_lacks(config: Config) -> dict[str, bool]:
    return {
        f"norm {config.norm}": config.norm != "rmsnorm",
        f"positions {config.positions}": config.positions != "rotary",
        "partial rotation": config.positions == "rotary" and config.rotary_dim != config.d_head,
        "attention without MLPs": not config.d_mlp,
        "plain MLP": not config.gated,
        "bias on some of the heads' matrices": len({config.q_bias, config.kv_bias, config.o_bias})
        > 1,
        **_both_lack(config),
        "attention scale of its own": config.attn_scale != config.d_head**0.5,
        "scale by layer": config.attn_scale_by_layer,
        "q/k norm": config.qk_norm,
    }


def _both_lack(config: Config) -> dict[str, bool]:
    return {
        "parallel blocks": config.parallel,
        "sight of later tokens": not config.causal,
        "windows": bool(config.windows),
        "bias of the unembedding": config.unembed_bias,
        "output vocabulary of its own": config.d_vocab_out != config.d_vocab,
    }


def _gpt2_config(config: Config) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.d_vocab,
        "n_positions": config.n_ctx,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_mlp,
        "activation_function": config.activation,
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied,
        "scale_attn_weights": config.attn_scale != 1.0,
        "scale_attn_by_inverse_layer_idx": config.attn_scale_by_layer,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _llama_config(config: Config) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.d_vocab,
        "max_position_embeddings": config.n_ctx,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_mlp,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.d_head,
        "hidden_act": config.activation if config.activation != "gelu_new" else "gelu_pytorch_tanh",
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": _rope(config),
        "attention_bias": config.q_bias,
        "mlp_bias": config.mlp_bias,
        "tie_word_embeddings": config.tied,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _rope(config: Config) -> dict[str, Any]:
    scaling, plain = config.rotary_scaling, {"rope_theta": config.rotary_base}
    if scaling is None:
        return plain | {"rope_type": "default"}
    stretched = plain | {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "linear":
        return stretched
    return stretched | {
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_n_ctx,
    }


def _gpt2_weights(config: Config, ours: Weights) -> dict[str, Tensor]:
    theirs = {
        "transformer.wte.weight": ours["embed.W_E"],
        "transformer.wpe.weight": ours["pos_embed.W_pos"],
        "transformer.ln_f.weight": ours["ln_final.w"],
        "transformer.ln_f.bias": ours["ln_final.b"],
    }
    for layer in range(config.n_layers):
        block, attn, mlp = (f"blocks.{layer}.{part}" for part in ("", "attn.", "mlp."))
        top = f"transformer.h.{layer}."
        reading = [_reading(ours[f"{attn}W_{letter}"]).T for letter in "QKV"]
        theirs |= {
            f"{top}attn.c_attn.weight": torch.cat(reading, dim=-1),
            f"{top}attn.c_attn.bias": torch.cat([ours[f"{attn}b_{it}"].flatten() for it in "QKV"]),
            f"{top}attn.c_proj.weight": _writing(ours[f"{attn}W_O"]).T,
            f"{top}attn.c_proj.bias": ours[f"{attn}b_O"],
            f"{top}mlp.c_fc.weight": ours[f"{mlp}W_in"],
            f"{top}mlp.c_fc.bias": ours[f"{mlp}b_in"],
            f"{top}mlp.c_proj.weight": ours[f"{mlp}W_out"],
            f"{top}mlp.c_proj.bias": ours[f"{mlp}b_out"],
        }
        for norm, name in (("ln1", "ln_1"), ("ln2", "ln_2")):
            theirs[f"{top}{name}.weight"] = ours[f"{block}{norm}.w"]
            theirs[f"{top}{name}.bias"] = ours[f"{block}{norm}.b"]
    return theirs if config.tied else theirs | {"lm_head.weight": ours["unembed.W_U"].T}


def _llama_weights(config: Config, ours: Weights) -> dict[str, Tensor]:
    theirs = {
        "model.embed_tokens.weight": ours["embed.W_E"],
        "model.norm.weight": ours["ln_final.w"],
    }
    for layer in range(config.n_layers):
        block, attn, mlp = (f"blocks.{layer}.{part}" for part in ("", "attn.", "mlp."))
        top = f"model.layers.{layer}."
        theirs[f"{top}input_layernorm.weight"] = ours[f"{block}ln1.w"]
        theirs[f"{top}post_attention_layernorm.weight"] = ours[f"{block}ln2.w"]
        for letter in "QKVO":
            weight, part = ours[f"{attn}W_{letter}"], f"{top}self_attn.{letter.lower()}_proj"
            theirs[f"{part}.weight"] = _writing(weight) if letter == "O" else _reading(weight)
            if config.q_bias:
                theirs[f"{part}.bias"] = ours[f"{attn}b_{letter}"].flatten()
        for side, name in (("in", "up"), ("gate", "gate"), ("out", "down")):
            theirs[f"{top}mlp.{name}_proj.weight"] = ours[f"{mlp}W_{side}"].T
            if config.mlp_bias:
                theirs[f"{top}mlp.{name}_proj.bias"] = ours[f"{mlp}b_{side}"]
    return theirs if config.tied else theirs | {"lm_head.weight": ours["unembed.W_U"].T}


def _reading(W: Tensor) -> Tensor:
    """What heads read with as a `Linear`'s weight, rows by head."""
    return rearrange(W, "head d_model d_head -> (head d_head) d_model")


def _writing(W: Tensor) -> Tensor:
    """What heads write with as a `Linear`'s weight, columns by head."""
    return rearrange(W, "head d_head d_model -> d_model (head d_head)")


_LACKS = {"gpt2": _gpt2_lacks, "llama": _llama_lacks}
_CONFIGS = {"gpt2": _gpt2_config, "llama": _llama_config}
_WEIGHTS = {"gpt2": _gpt2_weights, "llama": _llama_weights}
