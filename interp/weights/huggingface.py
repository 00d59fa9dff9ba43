"""Hugging Face folders: the config held against what the transformer can do, then the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from interp.errors import UnavailableError, UsageError
from interp.transformer import Config, Origin, RotaryScaling
from interp.weights import checksum
from interp.weights.checkpoint import Checkpoint, Named, tokenizer_in
from interp.weights.families import FAMILIES
from interp.weights.files import open_tensors, read_json, weight_files
from interp.weights.reader import Reader
from interp.weights.settings import Settings

# Names, token ids, training, generation, heads of other tasks, what only moves rounding errors.
_HARMLESS = """
    model_type architectures transformers_version _name_or_path name_or_path dtype torch_dtype
    output_hidden_states output_attentions return_dict use_cache is_encoder_decoder is_decoder
    chunk_size_feed_forward id2label label2id problem_type task_specific_params n_ctx
    bos_token_id eos_token_id pad_token_id sep_token_id cls_token_id unk_token_id
    resid_pdrop embd_pdrop attn_pdrop attention_dropout hidden_dropout classifier_dropout
    initializer_range gradient_checkpointing pretraining_tp reorder_and_upcast_attn
    num_labels _num_labels finetuning_task unsloth_fixed unsloth_version
    do_sample max_length max_new_tokens temperature top_k top_p
    summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout
    transformers.js_config is_llama_config _attn_implementation attn_implementation
"""


def checkpoint(folder: Path, name: str, revision: str | None = None) -> Checkpoint:
    """The model in a Hugging Face folder.

    Raises  UnavailableError for an architecture or a setting that is not supported, and for weights
            that are missing.
    """
    config, family = read_config(folder)
    files = weight_files(folder)

    def weights(dtype: torch.dtype, device: torch.device) -> Named:
        read = Reader(str(folder), open_tensors(files), dtype, device)
        yield from FAMILIES[family](config, read)
        read.close()

    origin = Origin(name, family, checksum.of_files(files), revision)
    return Checkpoint(config, origin, weights, tokenizer_in(folder, name), huggingface=folder)


def read_config(folder: Path) -> tuple[Config, str]:
    """The shape of the model in a Hugging Face folder, and its family.

    Raises  UnavailableError for an architecture or a setting that is not supported.
    """
    path = folder / "config.json"
    family = read_json(path).get("model_type")
    if family not in _SHAPES:
        raise UnavailableError(
            f"{path}: the architecture {family!r} is not supported; "
            f"supported are {', '.join(_SHAPES)}"
        )
    try:
        from transformers import AutoConfig

        theirs = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        defaults = type(theirs)().to_dict()
    except Exception as error:  # its validators raise many kinds of errors
        reason = " ".join(str(error).split())
        raise UnavailableError(f"{path} is not valid: {reason}") from None
    settings = Settings(str(path), theirs.to_dict(), defaults)
    try:
        config = _SHAPES[family](settings)
    except UsageError as error:
        raise UnavailableError(f"{path} contradicts itself: {error}") from None
    settings.close(_HARMLESS.split())
    return config, family


def _gpt2(settings: Settings) -> Config:
    d_model, n_heads = settings.needed("n_embd"), settings.needed("n_head")
    return Config(
        n_layers=settings.needed("n_layer"),
        n_heads=n_heads,
        d_model=d_model,
        d_head=d_model // n_heads,
        d_mlp=settings("n_inner", 4 * d_model),
        d_vocab=settings.needed("vocab_size"),
        n_ctx=settings.needed("n_positions"),
        norm="layernorm",
        norm_eps=settings.needed("layer_norm_epsilon", float),
        positions="learned",
        activation=settings.activation("activation_function"),
        tied=settings("tie_word_embeddings"),
        attn_scale=0.0 if settings("scale_attn_weights") else 1.0,
        attn_scale_by_layer=settings("scale_attn_by_inverse_layer_idx"),
    )


def _gpt_neox(settings: Settings) -> Config:
    d_model, n_heads = settings.needed("hidden_size"), settings.needed("num_attention_heads")
    bias = settings("attention_bias")
    return Config(
        n_layers=settings.needed("num_hidden_layers"),
        n_heads=n_heads,
        d_model=d_model,
        d_head=d_model // n_heads,
        d_mlp=settings.needed("intermediate_size"),
        d_vocab=settings.needed("vocab_size"),
        n_ctx=settings.needed("max_position_embeddings"),
        norm="layernorm",
        norm_eps=settings.needed("layer_norm_eps", float),
        activation=settings.activation("hidden_act"),
        parallel=settings("use_parallel_residual"),
        tied=settings("tie_word_embeddings"),
        q_bias=bias,
        kv_bias=bias,
        o_bias=bias,
        **_rotary(settings, d_model // n_heads, partial=True),
    )


def _llama(settings: Settings, **family: Any) -> Config:
    """What Llama, Mistral, Qwen2 and Qwen3 have in common."""
    d_model, n_heads = settings.needed("hidden_size"), settings.needed("num_attention_heads")
    n_layers, n_ctx = (settings.needed(f) for f in ("num_hidden_layers", "max_position_embeddings"))
    d_head = settings("head_dim", d_model // n_heads)
    return Config(
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=settings("num_key_value_heads", n_heads),
        d_model=d_model,
        d_head=d_head,
        d_mlp=settings.needed("intermediate_size"),
        d_vocab=settings.needed("vocab_size"),
        n_ctx=n_ctx,
        norm="rmsnorm",
        norm_eps=settings.needed("rms_norm_eps", float),
        activation=settings.activation("hidden_act"),
        gated=True,
        tied=settings("tie_word_embeddings"),
        **_rotary(settings, d_head, partial=False),
        **family,
    )


def _plain_llama(settings: Settings) -> Config:
    bias, mlp_bias = settings("attention_bias"), settings("mlp_bias")
    return _llama(settings, q_bias=bias, kv_bias=bias, o_bias=bias, mlp_bias=mlp_bias)


def _mistral(settings: Settings) -> Config:
    window = settings("sliding_window")
    windows = (window,) * settings.needed("num_hidden_layers") if window else ()
    return _llama(
        settings, q_bias=False, kv_bias=False, o_bias=False, mlp_bias=False, windows=windows
    )


def _qwen2(settings: Settings) -> Config:
    windows = _windows(settings)
    return _llama(
        settings, q_bias=True, kv_bias=True, o_bias=False, mlp_bias=False, windows=windows
    )


def _qwen3(settings: Settings) -> Config:
    bias = settings("attention_bias")
    windows = _windows(settings)
    return _llama(
        settings,
        q_bias=bias,
        kv_bias=bias,
        o_bias=bias,
        mlp_bias=False,
        qk_norm=True,
        windows=windows,
    )


def _windows(settings: Settings) -> tuple[int | None, ...]:
    """How far back every layer looks; `layer_types` says it, worked out from the older settings
    `use_sliding_window` and `max_window_layers` where a config has only those."""
    kinds, window = settings("layer_types"), settings("sliding_window")
    settings("use_sliding_window")
    settings("max_window_layers")
    known = {"full_attention": None, "sliding_attention": window}
    if any(kind not in known for kind in kinds) or ("sliding_attention" in kinds and not window):
        raise settings.refuse("layer_types")
    windows = tuple(known[kind] for kind in kinds)
    return windows if any(windows) else ()


def _rotary(settings: Settings, d_head: int, partial: bool) -> dict[str, Any]:
    """The rotary settings of Config from `rope_parameters`, into which transformers puts the older
    spellings (`rope_theta`, `rope_scaling`, `rotary_pct`, `rotary_emb_base`) too."""
    rope = Settings(f"{settings.where}: rope_parameters", settings("rope_parameters"))
    share = rope("partial_rotary_factor", 1.0)
    if (share != 1.0 and not partial) or int(d_head * share) < 2:
        raise rope.refuse("partial_rotary_factor")
    kind, scaling = rope("rope_type", "default"), None
    if kind == "linear":
        scaling = RotaryScaling("linear", rope.needed("factor", float))
    elif kind == "llama3":
        scaling = RotaryScaling(
            "llama3",
            rope.needed("factor", float),
            rope.needed("low_freq_factor", float),
            rope.needed("high_freq_factor", float),
            rope.needed("original_max_position_embeddings"),
        )
    elif kind != "default":
        raise rope.refuse("rope_type", "is not supported (default, linear and llama3 are)")
    base = float(rope.needed("rope_theta", float))
    rope.close(harmless=["type"])
    return {
        "positions": "rotary",
        "rotary_dim": int(d_head * share),
        "rotary_base": base,
        "rotary_scaling": scaling,
    }


_SHAPES: dict[str, Callable[[Settings], Config]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _plain_llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
}
