"""The shape of each Hugging Face architecture from its settings: every one that counts is asked for."""

from collections.abc import Callable
from typing import Any

from interp.errors import UnavailableError, named
from interp.transformer import Config, RotaryScaling
from interp.transformer.config import NO_BIASES
from interp.weights.reader import Settings


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
    return _llama(settings, **NO_BIASES, windows=windows)


def _qwen2(settings: Settings) -> Config:
    biases = NO_BIASES | {"q_bias": True, "kv_bias": True}
    return _llama(settings, **biases, windows=_windows(settings))


def _qwen3(settings: Settings) -> Config:
    biases = dict.fromkeys(NO_BIASES, settings.flag("attention_bias")) | {"mlp_bias": False}
    return _llama(settings, **biases, qk_norm=True, windows=_windows(settings))


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


SHAPES: dict[str, Callable[[Settings], Config]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _plain_llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
}
