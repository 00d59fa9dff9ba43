"""Checkpoints of TransformerLens's old HookedTransformer: a state dict, and its config as JSON.

The class is gone since TransformerLens 4; its weights have the names and the layouts of the clean
transformer, which can therefore still run them.

Source  TransformerLens 2: HookedTransformerConfig, AbstractAttention, GatedMLP, LayerNormPre.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp.errors import UnavailableError, UsageError
from interp.transformer import Config, Origin, RotaryScaling
from interp.weights import checksum
from interp.weights.checkpoint import Checkpoint, Named, tokenizer_of
from interp.weights.files import open_tensors, read_json
from interp.weights.reader import Reader
from interp.weights.settings import Settings

_NORMS = {"LN": "layernorm", "LNPre": "layernorm", "RMS": "rmsnorm", "RMSPre": "rmsnorm"}
_POSITIONS = {"standard": "learned", "rotary": "rotary"}
_HARMLESS = """
    model_name original_architecture from_checkpoint checkpoint_index checkpoint_label_type
    checkpoint_value tokenizer_name init_mode device n_devices seed initializer_range init_weights
    n_params use_attn_result use_split_qkv_input use_hook_mlp_in use_attn_in use_hook_tokens
    ungroup_grouped_query_attention default_prepend_bos tokenizer_prepends_bos dtype
    trust_remote_code default_padding_side
"""
_BUFFERS = r"blocks\.\d+\.attn\.(mask|IGNORE|rotary_sin|rotary_cos)"


def config_file(folder: Path) -> Path | None:
    """The JSON file in this folder that is a HookedTransformer's config, if there is one."""
    for path in sorted(folder.glob("*.json")):
        try:
            keys = read_json(path).keys()
        except UnavailableError:
            continue
        if {"n_layers", "d_model", "d_head", "n_ctx"} <= keys and "model_type" not in keys:
            return path
    return None


def checkpoint(folder: Path, name: str, config_path: Path) -> Checkpoint:
    """The model in a folder with a state dict and a HookedTransformer's config.

    Raises  UnavailableError for a setting that is not supported and for weights that are missing.
    """
    file = _state_dict(folder)
    tensors = open_tensors([file])
    values = read_json(config_path)
    config, folded = _config(Settings(str(config_path), values), tensors)

    def weights(dtype: torch.dtype, device: torch.device) -> Named:
        read = Reader(str(file), tensors, dtype, device)
        yield from _named(config, folded, read)
        read.ignore(_BUFFERS)
        read.close()

    family = str(values.get("original_architecture") or "hooked_transformer")
    origin = Origin(name, family, checksum.of_file(file), notes=_notes(values))
    tokenizer = None
    if (folder / "tokenizer.json").is_file():
        tokenizer = tokenizer_of(str(folder), name, "PreTrainedTokenizerFast")
    elif known_as := values.get("tokenizer_name"):
        tokenizer = tokenizer_of(str(known_as), name)
    return Checkpoint(config, origin, weights, tokenizer)


def _state_dict(folder: Path) -> Path:
    found = [
        path
        for pattern in ("*.safetensors", "*.pt", "*.pth")
        for path in sorted(folder.glob(pattern))
    ]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UnavailableError(
            f"{folder} must hold one state dict (.safetensors, .pt or .pth), got {names}"
        )
    return found[0]


def _notes(values: dict[str, Any]) -> tuple[str, ...]:
    if str(values.get("normalization_type")).endswith("Pre"):
        return ("The weights of the norms were folded into the layers after them.",)
    return ()


def _config(settings: Settings, tensors: dict[str, Tensor]) -> tuple[Config, bool]:
    """The shape, and whether the norms' weights were folded away."""
    d_model, d_head = settings.needed("d_model"), settings.needed("d_head")
    n_layers, n_ctx = settings.needed("n_layers"), settings.needed("n_ctx")
    n_heads = settings("n_heads", -1)
    norm = settings("normalization_type")
    if norm is not None and norm not in _NORMS:
        raise settings.refuse("normalization_type")
    if settings("final_rms", False) and norm not in ("RMS", "RMSPre"):
        raise settings.refuse("final_rms")
    positions = settings("positional_embedding_type", "standard")
    if positions not in _POSITIONS:
        raise settings.refuse("positional_embedding_type")
    direction = settings("attention_dir", "causal")
    if direction not in ("causal", "bidirectional"):
        raise settings.refuse("attention_dir")
    for cap in ("attn_scores_soft_cap", "output_logits_soft_cap"):
        if settings(cap, -1.0) > 0:
            raise settings.refuse(cap)
    attn_only = settings("attn_only", False)
    scale = settings("attn_scale", -1.0)
    try:
        config = Config(
            n_layers=n_layers,
            n_heads=n_heads if n_heads != -1 else d_model // d_head,
            n_kv_heads=settings("n_key_value_heads", 0),
            d_model=d_model,
            d_head=d_head,
            d_mlp=0 if attn_only else _size(settings("d_mlp"), 4 * d_model),
            d_vocab=settings.needed("d_vocab"),
            d_vocab_out=_size(settings("d_vocab_out"), 0),
            n_ctx=n_ctx,
            norm="none" if norm is None else _NORMS[norm],  # type: ignore[arg-type]
            norm_eps=settings("eps", 1e-5),
            activation="relu" if attn_only else settings.activation("act_fn"),
            gated=settings("gated_mlp", False) and not attn_only,
            parallel=settings("parallel_attn_mlp", False) and not attn_only,
            causal=direction == "causal",
            tied="unembed.W_U" not in tensors and settings("tie_word_embeddings", False),
            qk_norm=settings("use_qk_norm", False),
            unembed_bias="unembed.b_U" in tensors,
            attn_scale=(
                (0.0 if scale == -1.0 else scale) if settings("use_attn_scale", True) else 1.0
            ),
            attn_scale_by_layer=settings("scale_attn_by_inverse_layer_idx", False),
            windows=_windows(settings, direction),
            **_positions(settings, positions),
        )
    except UsageError as error:
        raise UnavailableError(f"{settings.where} contradicts itself: {error}") from None
    if attn_only:
        settings("act_fn")
        settings("d_mlp")
    settings("tie_word_embeddings")
    settings.close(_HARMLESS.split())
    return config, norm in ("LNPre", "RMSPre")


def _size(given: int | None, otherwise: int) -> int:
    """A size that -1 or nothing leaves open."""
    return otherwise if given in (None, -1) else given


def _positions(settings: Settings, kind: str) -> dict[str, Any]:
    rotary_dim = settings("rotary_dim", 0)
    base, by_parts = settings("rotary_base", 10_000), settings("use_NTK_by_parts_rope", False)
    scaling = RotaryScaling(
        "llama3",
        settings("NTK_by_parts_factor", 8.0),
        settings("NTK_by_parts_low_freq_factor", 1.0),
        settings("NTK_by_parts_high_freq_factor", 4.0),
        settings("NTK_original_ctx_len", 8192),
    )
    if kind != "rotary":
        settings("rotary_adjacent_pairs")
        return {"positions": _POSITIONS[kind]}
    # Versions without this setting turned adjacent pairs, except in models converted from these.
    halves = settings("original_architecture") in ("GPTNeoXForCausalLM", "LlamaForCausalLM")
    if settings("rotary_adjacent_pairs", not halves):
        raise settings.refuse(
            "rotary_adjacent_pairs", "(true where it is missing) is not supported"
        )
    return {
        "positions": "rotary",
        "rotary_dim": rotary_dim,
        "rotary_base": float(base),
        "rotary_scaling": scaling if by_parts else None,
    }


def _windows(settings: Settings, direction: str) -> tuple[int | None, ...]:
    kinds, window = settings("attn_types", []), settings("window_size")
    if not settings("use_local_attn", False):
        return ()
    # HookedTransformer masks nothing at all in a bidirectional model.
    if direction != "causal" or not window or set(kinds) - {"local", "global"}:
        raise settings.refuse("attn_types")
    return tuple(window if kind == "local" else None for kind in kinds)


def _named(config: Config, folded: bool, read: Reader) -> Named:
    yield "embed.W_E", read("embed.W_E")
    if config.positions == "learned":
        yield "pos_embed.W_pos", read("pos_embed.W_pos")
    for layer in range(config.n_layers):
        block = f"blocks.{layer}."
        yield from _norm(config, folded, read, f"{block}ln1")
        yield from _attention(config, read, f"{block}attn.")
        if config.d_mlp:
            yield from _norm(config, folded, read, f"{block}ln2")
            yield from _mlp(config, read, f"{block}mlp.")
    yield from _norm(config, folded, read, "ln_final")
    if not config.tied:
        yield "unembed.W_U", read("unembed.W_U")
    if config.unembed_bias:
        yield "unembed.b_U", read("unembed.b_U")


def _norm(config: Config, folded: bool, read: Reader, name: str) -> Named:
    """The norm's weights: ones and zeros where folding took them away."""
    if config.norm == "none":
        return
    like = read("embed.W_E")
    yield f"{name}.w", like.new_ones(config.d_model) if folded else read(f"{name}.w")
    if config.norm == "layernorm":
        yield f"{name}.b", like.new_zeros(config.d_model) if folded else read(f"{name}.b")


def _attention(config: Config, read: Reader, part: str) -> Named:
    grouped = "_" if f"{part}_W_K" in read else ""
    for letter in "QKV":
        underscore = "" if letter == "Q" else grouped
        yield f"{part}W_{letter}", read(f"{part}{underscore}W_{letter}")
        yield f"{part}b_{letter}", read(f"{part}{underscore}b_{letter}")
    yield f"{part}W_O", read(f"{part}W_O")
    yield f"{part}b_O", read(f"{part}b_O")
    if config.qk_norm:
        yield f"{part}q_norm.w", read(f"{part}q_norm.w")
        yield f"{part}k_norm.w", read(f"{part}k_norm.w")


def _mlp(config: Config, read: Reader, part: str) -> Named:
    yield f"{part}W_in", read(f"{part}W_in")
    yield f"{part}W_out", read(f"{part}W_out")
    b_in, b_out = read(f"{part}b_in"), read(f"{part}b_out")
    if config.gated:
        yield f"{part}W_gate", read(f"{part}W_gate")
        yield f"{part}b_gate", torch.zeros_like(b_in)
        if b_in.any():
            raise UnavailableError(
                f"{part}b_in is not zero: HookedTransformer adds it after the gate multiplies, "
                "which the clean transformer's gated MLP does not"
            )
    yield f"{part}b_in", b_in
    yield f"{part}b_out", b_out
