"""Random models of a few thousand weights, one of every kind, for tests and for trying things out.

Within one model all sizes differ, so that a swapped axis cannot pass unseen; biases and norm
weights are random too, so that none of them can be forgotten.
"""

import math

import torch
from torch import Tensor

from interp.tokenizers.tiny import tokenizer, vocabulary
from interp.transformer import Config, Origin, Transformer
from interp.transformer.config import NO_BIASES
from interp.weights import checksum
from interp.weights.reader import Checkpoint, Named

NOTE = (
    "This model is tiny and its weights are random: it shows how a study works, and finds nothing."
)
_SEED = 0

_ROTARY = {"positions": "rotary", "norm": "rmsnorm", "activation": "silu", "gated": True}
# name -> (family, settings)
_KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "tiny-gpt2": (
        "gpt2",
        {"n_layers": 3, "n_heads": 4, "d_model": 32, "d_head": 8, "d_mlp": 72, "n_ctx": 160},
    ),
    "tiny-neox": (
        "gpt_neox",
        {"n_layers": 3, "n_heads": 4, "d_model": 40, "d_head": 10, "d_mlp": 88, "n_ctx": 192}
        | {"positions": "rotary", "rotary_dim": 6, "activation": "gelu", "parallel": True}
        | {"tied": False},
    ),
    "tiny-llama": (
        "llama",
        {"n_layers": 4, "n_heads": 6, "n_kv_heads": 2, "d_model": 48, "d_head": 8, "d_mlp": 80}
        | {"n_ctx": 256, "tied": False, **_ROTARY, **NO_BIASES},
    ),
    "tiny-qwen2": (
        "qwen2",
        {"n_layers": 3, "n_heads": 6, "n_kv_heads": 2, "d_model": 60, "d_head": 10, "d_mlp": 100}
        | {"n_ctx": 224, **_ROTARY, **NO_BIASES, "q_bias": True, "kv_bias": True},
    ),
    "tiny-qwen3": (
        "qwen3",
        {"n_layers": 3, "n_heads": 6, "n_kv_heads": 2, "d_model": 40, "d_head": 12, "d_mlp": 90}
        | {"n_ctx": 208, "qk_norm": True, **_ROTARY, **NO_BIASES},
    ),
    "tiny-attn-only": (
        "attn_only",
        {"n_layers": 2, "n_heads": 5, "d_model": 36, "d_head": 8, "n_ctx": 144, "norm": "none"}
        | {"tied": False},
    ),
    "tiny-bidirectional": (
        "bidirectional",
        {"n_layers": 2, "n_heads": 3, "d_model": 36, "d_head": 12, "d_mlp": 64, "n_ctx": 136}
        | {"causal": False, "activation": "relu", "tied": False},
    ),
}


def checkpoint(name: str) -> Checkpoint:
    """The tiny model of this name, the same weights in every dtype but for rounding."""
    family, settings = _KINDS[name]
    config = Config.from_dict({"d_vocab": len(vocabulary()), **settings})
    tensors = _drawn(config)

    def weights(dtype: torch.dtype, device: torch.device) -> Named:
        for tensor_name, tensor in tensors.items():
            yield tensor_name, tensor.to(device=device, dtype=dtype)

    origin = Origin(name, family, checksum.of_tensors(tensors), notes=(NOTE,))
    return Checkpoint(config, origin, weights, lambda: tokenizer(name))


def _drawn(config: Config) -> dict[str, Tensor]:
    """Weights large enough for attention to choose and for every layer to matter."""
    with torch.device("meta"):
        shapes = {name: it.shape for name, it in Transformer(config).named_parameters()}
    generator = torch.Generator().manual_seed(_SEED)
    return {
        name: _draw(name.rpartition(".")[2], shape, generator) for name, shape in shapes.items()
    }


def _draw(leaf: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    values = torch.randn(shape, generator=generator)
    if leaf == "w":
        return 1 + 0.2 * values
    if leaf == "b" or leaf.startswith("b_"):
        return 0.1 * values
    if leaf in ("W_E", "W_pos"):
        return 0.5 * values
    return values / math.sqrt(shape[-2])
