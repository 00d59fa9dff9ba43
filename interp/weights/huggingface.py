"""Hugging Face folders: the config held against what the transformer can do, then the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from interp.errors import UnavailableError, UsageError, brief, named, reason
from interp.transformer import Config, Origin, RotaryScaling, bounds
from interp.weights import checksum
from interp.weights.checkpoint import Checkpoint, Named, check_shapes, tokenizer_in
from interp.weights.families import FAMILIES
from interp.weights.files import open_tensors, read_json, weight_files
from interp.weights.reader import Reader
from interp.weights.settings import Settings

# Settings of a config class that no forward pass of a language model reads: names, token ids, training,
# generation, heads of other tasks, attention to an encoder, what only moves rounding errors. All
# further settings that a config.json may have are read by nobody, but for those below.
_INERT = """
    model_type architectures transformers_version dtype output_hidden_states return_dict use_cache
    is_encoder_decoder is_decoder chunk_size_feed_forward id2label label2id problem_type
    bos_token_id eos_token_id pad_token_id resid_pdrop embd_pdrop attn_pdrop attention_dropout
    hidden_dropout classifier_dropout initializer_range pretraining_tp reorder_and_upcast_attn
    summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout
    add_cross_attention
"""
# What Hugging Face's library reads of any config although no class says so: other weights or another
# config than these, a config within the config, numbers of fewer bits, layers that differ.
_READ = """
    quantization_config transformers_weights configuration_files text_config decoder generator
    fusion_config per_layer_config kv_sharing_modes
"""
# The same of rotary positions, which the config class makes `rope_parameters` of.
_ROTARY = """
    rope_scaling rope_theta partial_rotary_factor original_max_position_embeddings rotary_pct
    rotary_emb_base
"""
# What counts something, under the names of all families.
_SIZES = """
    n_embd n_head n_layer n_positions n_inner vocab_size hidden_size num_attention_heads
    num_hidden_layers num_key_value_heads intermediate_size max_position_embeddings head_dim
"""


def checkpoint(folder: Path, name: str, revision: str | None = None) -> Checkpoint:
    """The model in a Hugging Face folder.

    Raises  UnavailableError for an architecture or a setting that is not supported, and for weights
            that are missing.
    """
    config, family = read_config(folder)
    files = weight_files(folder)
    tensors = open_tensors(files)

    def weights(dtype: torch.dtype, device: torch.device) -> Named:
        read = Reader(str(folder), tensors, dtype, device)
        yield from FAMILIES[family](config, read)
        read.close()

    check_shapes(weights)
    origin = Origin(name, family, checksum.of_files(files), revision)
    return Checkpoint(config, origin, weights, tokenizer_in(folder, name), huggingface=folder)


def read_config(folder: Path) -> tuple[Config, str]:
    """The shape of the model in a Hugging Face folder, and its family.

    Raises  UnavailableError for an architecture or a setting that is not supported.
    """
    path = folder / "config.json"
    values = read_json(path)
    family = values.get("model_type")
    if not isinstance(family, str) or family not in _SHAPES:
        raise UnavailableError(
            f"{named(path)}: the architecture {brief(family)} is not supported; "
            f"supported are {', '.join(_SHAPES)}"
        )
    settings = _settings(path, family, values)
    try:
        config = _SHAPES[family](settings)
    except UsageError as error:
        raise UnavailableError(f"{named(path)} contradicts itself: {error}") from None
    settings.close()
    return config, family


def _settings(path: Path, family: str, values: dict[str, Any]) -> Settings:
    """What Hugging Face's class makes of the settings that can count, and those beside it that would.

    Whatever is inert is not shown to the class: it might stumble over it.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind: Any = CONFIG_MAPPING[family]
    own = {field.name for field in fields(kind)} - {*_INERT.split()}
    rotary = {*_ROTARY.split()} if "rope_parameters" in own else set()
    shown = own | kind.attribute_map.keys() | rotary
    # Before the class divides by them and makes lists of so many entries.
    raw = Settings(str(path), values)
    for name in shown.intersection(_SIZES.split()):
        raw.integer(name, None, most=bounds.MOST_LAYERS if "layer" in name else bounds.MOST)
    try:
        usual = kind()
        theirs = kind.from_dict({name: it for name, it in values.items() if name in shown})
        if rotary:
            # As the model does: only now is what stands beside `rope_parameters` put into them.
            theirs.standardize_rope_params()
    except Exception as error:  # its validators raise many kinds of errors
        raise UnavailableError(f"{named(path)} is not valid: {reason(error)}") from None
    beside = {*_READ.split(), "is_causal", "layer_types", "head_dim"} - own
    settings = Settings(
        str(path),
        {name: getattr(theirs, name) for name in own}
        | {name: it for name, it in values.items() if name in beside},
        {name: getattr(usual, name) for name in own},
    )
    # Null is not true there, and would let every token attend to all.
    if settings.says("is_causal") and settings("is_causal", False) is not True:
        raise settings.refuse("is_causal")
    return settings


def _gpt2(settings: Settings) -> Config:
    d_model, n_heads = settings.integer("n_embd"), settings.integer("n_head")
    _ordinary_layers(settings)
    settings("head_dim")
    return Config(
        n_layers=settings.integer("n_layer"),
        n_heads=n_heads,
        d_model=d_model,
        d_head=_d_head(settings, d_model, n_heads),
        d_mlp=settings.integer("n_inner", 4 * d_model),
        d_vocab=settings.integer("vocab_size"),
        n_ctx=settings.integer("n_positions"),
        norm="layernorm",
        norm_eps=settings.number("layer_norm_epsilon"),
        positions="learned",
        activation=settings.activation("activation_function"),
        tied=settings.flag("tie_word_embeddings"),
        attn_scale=0.0 if settings.flag("scale_attn_weights") else 1.0,
        attn_scale_by_layer=settings.flag("scale_attn_by_inverse_layer_idx"),
    )


def _gpt_neox(settings: Settings) -> Config:
    d_model, n_heads = settings.integer("hidden_size"), settings.integer("num_attention_heads")
    bias, d_head = settings.flag("attention_bias"), _d_head(settings, d_model, n_heads)
    _ordinary_layers(settings)
    # Rotary frequencies follow this where it is there, and nothing else does.
    if settings("head_dim", d_head) != d_head:
        raise settings.refuse("head_dim")
    return Config(
        n_layers=settings.integer("num_hidden_layers"),
        n_heads=n_heads,
        d_model=d_model,
        d_head=d_head,
        d_mlp=settings.integer("intermediate_size"),
        d_vocab=settings.integer("vocab_size"),
        n_ctx=settings.integer("max_position_embeddings"),
        norm="layernorm",
        norm_eps=settings.number("layer_norm_eps"),
        activation=settings.activation("hidden_act"),
        parallel=settings.flag("use_parallel_residual"),
        tied=settings.flag("tie_word_embeddings"),
        q_bias=bias,
        kv_bias=bias,
        o_bias=bias,
        **_rotary(settings, d_head, partial=True),
    )


def _llama(settings: Settings, **family: Any) -> Config:
    """What Llama, Mistral, Qwen2 and Qwen3 have in common."""
    d_model, n_heads = settings.integer("hidden_size"), settings.integer("num_attention_heads")
    d_head = settings.integer("head_dim", None) or _d_head(settings, d_model, n_heads)
    return Config(
        n_layers=settings.integer("num_hidden_layers"),
        n_heads=n_heads,
        n_kv_heads=settings.integer("num_key_value_heads", n_heads),
        d_model=d_model,
        d_head=d_head,
        d_mlp=settings.integer("intermediate_size"),
        d_vocab=settings.integer("vocab_size"),
        n_ctx=settings.integer("max_position_embeddings"),
        norm="rmsnorm",
        norm_eps=settings.number("rms_norm_eps"),
        activation=settings.activation("hidden_act"),
        gated=True,
        tied=settings.flag("tie_word_embeddings"),
        **_rotary(settings, d_head, partial=False),
        **family,
    )


def _plain_llama(settings: Settings) -> Config:
    bias, mlp_bias = settings.flag("attention_bias"), settings.flag("mlp_bias")
    _ordinary_layers(settings)
    return _llama(settings, q_bias=bias, kv_bias=bias, o_bias=bias, mlp_bias=mlp_bias)


def _mistral(settings: Settings) -> Config:
    window = settings.integer("sliding_window", None)
    n_layers = settings.integer("num_hidden_layers")
    kind = "sliding_attention" if window else "full_attention"
    if settings("layer_types", [kind] * n_layers) != [kind] * n_layers:
        raise settings.refuse("layer_types")
    windows = (window,) * n_layers if window else ()
    return _llama(
        settings, q_bias=False, kv_bias=False, o_bias=False, mlp_bias=False, windows=windows
    )


def _qwen2(settings: Settings) -> Config:
    windows = _windows(settings)
    return _llama(
        settings, q_bias=True, kv_bias=True, o_bias=False, mlp_bias=False, windows=windows
    )


def _qwen3(settings: Settings) -> Config:
    bias = settings.flag("attention_bias")
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


def _d_head(settings: Settings, d_model: int, n_heads: int) -> int:
    if d_model % n_heads:
        raise UnavailableError(
            f"{named(settings.where)}: the residual stream of {d_model} does not divide into "
            f"{n_heads} heads"
        )
    return d_model // n_heads


def _ordinary_layers(settings: Settings) -> None:
    """Passes if no layer is of a kind that decides more than what a cache of keys keeps."""
    kinds = settings("layer_types", [])
    known = ("full_attention", "sliding_attention", "chunked_attention")
    if not isinstance(kinds, list) or any(kind not in known for kind in kinds):
        raise settings.refuse("layer_types")


def _windows(settings: Settings) -> tuple[int | None, ...]:
    """How far back every layer looks; `layer_types` says it, worked out from the older settings
    `use_sliding_window` and `max_window_layers` where a config has only those."""
    kinds, window = settings("layer_types"), settings.integer("sliding_window", None)
    settings("use_sliding_window")
    settings("max_window_layers")
    known = {"full_attention": None, "sliding_attention": window}
    if any(kind not in known for kind in kinds) or ("sliding_attention" in kinds and not window):
        raise settings.refuse("layer_types")
    windows = tuple(known[kind] for kind in kinds)
    return windows if any(windows) else ()


def _rotary(settings: Settings, d_head: int, partial: bool) -> dict[str, Any]:
    """The rotary settings of Config from `rope_parameters`, into which transformers puts the older
    spellings (`rope_theta`, `rope_scaling`, `rotary_pct`, `rotary_emb_base`) too. What a `rope_type`
    does not use is read by nobody."""
    values = settings("rope_parameters")
    rope = Settings(
        f"{settings.where}: rope_parameters", values if isinstance(values, dict) else {}
    )
    kind, scaling = rope("rope_type", "default"), None
    share = rope.number("partial_rotary_factor", 1.0)
    if kind == "default" and not partial:
        share = 1.0
    if not 0 < share <= 1 or (share != 1.0 and not partial) or int(d_head * share) < 2:
        raise rope.refuse("partial_rotary_factor")
    if kind == "linear":
        scaling = RotaryScaling("linear", rope.number("factor"))
    elif kind == "llama3":
        scaling = RotaryScaling(
            "llama3",
            rope.number("factor"),
            rope.number("low_freq_factor"),
            rope.number("high_freq_factor"),
            rope.integer("original_max_position_embeddings"),
        )
    elif kind != "default":
        raise rope.refuse("rope_type", "is not supported (default, linear and llama3 are)")
    return {
        "positions": "rotary",
        "rotary_dim": int(d_head * share),
        "rotary_base": float(rope.number("rope_theta")),
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
