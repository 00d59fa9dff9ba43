"""Hugging Face folders: the config held against what the transformer can do, then the weights."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from interp.errors import UnavailableError, UsageError, brief, named, reason
from interp.tokenizers.loading import tokenizer_in
from interp.transformer import Config, Origin, bounds
from interp.weights import checksum
from interp.weights.architectures import SHAPES
from interp.weights.families import FAMILIES
from interp.weights.files import open_tensors, read_json, weight_files
from interp.weights.reader import Checkpoint, Named, Reader, Settings, check_shapes

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
    if not isinstance(family, str) or family not in SHAPES:
        raise UnavailableError(
            f"{named(path)}: the architecture {brief(family)} is not supported; "
            f"supported are {', '.join(SHAPES)}"
        )
    settings = _settings(path, family, values)
    try:
        config = SHAPES[family](settings)
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
