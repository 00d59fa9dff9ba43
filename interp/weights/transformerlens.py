"""Checkpoints of TransformerLens's old HookedTransformer: a state dict, and its config as JSON.

The class is gone since TransformerLens 4; its weights have the names and the layouts of the clean
transformer, which can therefore still run them.

Source  TransformerLens 2: HookedTransformerConfig, AbstractAttention, GatedMLP, LayerNormPre.
"""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp.errors import UnavailableError, UsageError, named
from interp.ordinary import ordinary_file
from interp.tokenizers.loading import tokenizer_of
from interp.transformer import Config, Origin, RotaryScaling
from interp.weights import checksum
from interp.weights.files import open_tensors, read_json
from interp.weights.reader import Checkpoint, Named, Reader, Settings, check_shapes

_NORMS = {"LN": "layernorm", "LNPre": "layernorm", "RMS": "rmsnorm", "RMSPre": "rmsnorm"}
_POSITIONS = {"standard": "learned", "rotary": "rotary"}
_HARMLESS = """
    model_name original_architecture from_checkpoint checkpoint_index checkpoint_label_type
    checkpoint_value tokenizer_name init_mode device n_devices seed initializer_range init_weights
    n_params use_attn_result use_split_qkv_input use_hook_mlp_in use_attn_in use_hook_tokens
    ungroup_grouped_query_attention default_prepend_bos tokenizer_prepends_bos dtype
    trust_remote_code default_padding_side
"""
_OTHERS = ("tokenizer.json", "vocab.json", "tokenizer_config.json", "special_tokens_map.json")
_BUFFERS = r"blocks\.\d+\.attn\.(mask|IGNORE|rotary_sin|rotary_cos)"


def config_file(folder: Path) -> Path | None:
    """The JSON file in this folder that is a HookedTransformer's config, if there is one."""
    for path in sorted(folder.glob("*.json")):
        # A tokenizer's files are large, and a model of Hugging Face's has its config under this name.
        if path.name in _OTHERS:
            continue
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
    file = ordinary_file(_state_dict(folder))
    tensors = open_tensors([file])
    values = read_json(config_path)
    config, folded = _config(Settings(str(config_path), values), tensors)

    def weights(dtype: torch.dtype, device: torch.device) -> Named:
        read = Reader(str(file), tensors, dtype, device)
        yield from _named(config, folded, read)
        read.ignore(_BUFFERS)
        read.close()

    check_shapes(weights)
    family = named(str(values.get("original_architecture") or "hooked_transformer"), 40)
    notes = ("The weights of the norms were folded into the layers after them.",) if folded else ()
    origin = Origin(name, family, checksum.of_file(file), notes=notes)
    tokenizer = None
    if os.path.lexists(folder / "tokenizer.json"):
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
        names = ", ".join(named(path.name, 40) for path in found[:4]) or "none"
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise UnavailableError(
            f"{named(folder)} must hold one state dict (.safetensors, .pt or .pth), "
            f"got {names}{more}"
        )
    return found[0]


def _config(settings: Settings, tensors: dict[str, Tensor]) -> tuple[Config, bool]:
    """The shape, and whether the norms' weights were folded away. What the JSON does not say is what
    it was in the class: `normalization_type` LN, and None only where it says null."""
    d_model, d_head = settings.integer("d_model"), settings.integer("d_head")
    n_layers, n_ctx = settings.integer("n_layers"), settings.integer("n_ctx")
    unsaid = not settings.says("normalization_type")
    norm = "LN" if unsaid else settings("normalization_type")
    if norm is not None:
        norm = settings.one_of("normalization_type", _NORMS, "LN")
    if settings.flag("final_rms", False) and norm not in ("RMS", "RMSPre"):
        raise settings.refuse("final_rms")
    positions = settings.one_of("positional_embedding_type", _POSITIONS, "standard")
    direction = settings.one_of("attention_dir", ("causal", "bidirectional"), "causal")
    for cap in ("attn_scores_soft_cap", "output_logits_soft_cap"):
        if settings.number(cap, -1.0) > 0:
            raise settings.refuse(cap)
    attn_only = settings.flag("attn_only", False)
    tied = settings.flag("tie_word_embeddings", False)
    scale = settings.number("attn_scale", -1.0)
    parallel, gated = settings.flag("parallel_attn_mlp", False), settings.flag("gated_mlp", False)
    d_mlp = _size(settings, "d_mlp", 4 * d_model)
    try:
        config = Config(
            n_layers=n_layers,
            n_heads=_size(settings, "n_heads", max(1, d_model // d_head)),
            n_kv_heads=settings.integer("n_key_value_heads", 0),
            d_model=d_model,
            d_head=d_head,
            d_mlp=0 if attn_only else d_mlp,
            d_vocab=_size(settings, "d_vocab", _rows(tensors.get("embed.W_E"))),
            d_vocab_out=_size(settings, "d_vocab_out", 0),
            n_ctx=n_ctx,
            norm="none" if norm is None else _NORMS[norm],  # type: ignore[arg-type]
            norm_eps=settings.number("eps", 1e-5),
            activation="relu" if attn_only else settings.activation("act_fn"),
            gated=gated and not attn_only,
            parallel=parallel and not attn_only,
            causal=direction == "causal",
            tied="unembed.W_U" not in tensors and tied,
            qk_norm=settings.flag("use_qk_norm", False),
            unembed_bias="unembed.b_U" in tensors,
            attn_scale=(
                (0.0 if scale == -1.0 else scale) if settings.flag("use_attn_scale", True) else 1.0
            ),
            attn_scale_by_layer=settings.flag("scale_attn_by_inverse_layer_idx", False),
            windows=_windows(settings, direction),
            **_positions(settings, positions),
        )
    except UsageError as error:
        raise UnavailableError(f"{named(settings.where)} contradicts itself: {error}") from None
    settings("act_fn")
    settings.close(_HARMLESS.split())
    return config, norm in ("LNPre", "RMSPre")


def _size(settings: Settings, name: str, otherwise: int) -> int:
    """A size that -1 or nothing leaves open."""
    if settings(name) == -1:
        return otherwise
    return int(settings.integer(name, otherwise))


def _rows(embedding: Tensor | None) -> int:
    """The size of a vocabulary that was left to the tokenizer."""
    return len(embedding) if embedding is not None and embedding.ndim else 1


def _positions(settings: Settings, kind: str) -> dict[str, Any]:
    rotary_dim = settings.integer("rotary_dim", 0)
    base = settings.number("rotary_base", 10_000)
    by_parts = settings.flag("use_NTK_by_parts_rope", False)
    scaling = {
        "kind": "llama3",
        "factor": settings.number("NTK_by_parts_factor", 8.0),
        "low_freq_factor": settings.number("NTK_by_parts_low_freq_factor", 1.0),
        "high_freq_factor": settings.number("NTK_by_parts_high_freq_factor", 4.0),
        "original_n_ctx": settings.integer("NTK_original_ctx_len", 8192),
    }
    if kind != "rotary":
        settings("rotary_adjacent_pairs")
        return {"positions": _POSITIONS[kind]}
    # Versions without this setting turned adjacent pairs, except in models converted from these.
    halves = settings("original_architecture") in ("GPTNeoXForCausalLM", "LlamaForCausalLM")
    if settings.flag("rotary_adjacent_pairs", not halves):
        raise settings.refuse(
            "rotary_adjacent_pairs", "(true where it is missing) is not supported"
        )
    return {
        "positions": "rotary",
        "rotary_dim": rotary_dim,
        "rotary_base": float(base),
        "rotary_scaling": RotaryScaling(**scaling) if by_parts else None,
    }


def _windows(settings: Settings, direction: str) -> tuple[int | None, ...]:
    kinds, window = settings("attn_types", []), settings.integer("window_size", None)
    if not settings.flag("use_local_attn", False):
        return ()
    known = isinstance(kinds, list) and all(kind in ("local", "global") for kind in kinds)
    # HookedTransformer masks nothing at all in a bidirectional model.
    if direction != "causal" or not window or not known:
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
    for leaf in {"layernorm": "wb", "rmsnorm": "w", "none": ""}[config.norm]:
        if folded:
            size, gone = [config.d_model], float(leaf == "w")
            yield f"{name}.{leaf}", torch.full(size, gone, dtype=read.dtype, device=read.device)
        else:
            yield f"{name}.{leaf}", read(f"{name}.{leaf}")


def _attention(config: Config, read: Reader, part: str) -> Named:
    grouped = "_" if f"{part}_W_K" in read else ""
    for letter in "QKV":
        underscore = "" if letter == "Q" else grouped
        yield f"{part}W_{letter}", read(f"{part}{underscore}W_{letter}")
        yield f"{part}b_{letter}", read(f"{part}{underscore}b_{letter}")
    for leaf in ("W_O", "b_O", *(("q_norm.w", "k_norm.w") if config.qk_norm else ())):
        yield f"{part}{leaf}", read(f"{part}{leaf}")


def _mlp(config: Config, read: Reader, part: str) -> Named:
    yield f"{part}W_in", read(f"{part}W_in")
    yield f"{part}W_out", read(f"{part}W_out")
    b_in, b_out = read(f"{part}b_in"), read(f"{part}b_out")
    if config.gated:
        yield f"{part}W_gate", read(f"{part}W_gate")
        yield f"{part}b_gate", torch.zeros_like(b_in)
        if not b_in.is_meta and b_in.any():
            raise UnavailableError(
                f"{part}b_in is not zero: HookedTransformer adds it after the gate multiplies, "
                "which the clean transformer's gated MLP does not"
            )
    yield f"{part}b_in", b_in
    yield f"{part}b_out", b_out
