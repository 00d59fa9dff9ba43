"""A new model: the shapes that it can have, whether training one fits into memory, and its first weights."""

import math
from typing import Any

import torch

from interp.errors import UsageError, nearest
from interp.tokenizers.loading import TokenizerLoader
from interp.transformer import Config, Origin, Transformer
from interp.transformer.config import NO_BIASES
from interp.transformer.initial import DEVIATION, initialise

# name -> (MLP width over d_model, settings)
_PRESETS: dict[str, tuple[float, dict[str, Any]]] = {
    "gpt2": (4, {"norm": "layernorm", "positions": "learned", "activation": "gelu_new"}),
    "llama": (
        8 / 3,
        {"norm": "rmsnorm", "positions": "rotary", "activation": "silu", "gated": True} | NO_BIASES,
    ),
    "attn-only": (0, {"norm": "layernorm", "positions": "learned", "tied": False}),
}
PRESETS = tuple(_PRESETS)


def shape(
    preset: str, *, layers: int, heads: int, width: int, d_vocab: int, n_ctx: int, **given: Any
) -> Config:
    """The preset's shape at this size; settings that are `given` and not None replace its own.

    Raises  UsageError for an unknown preset, and for a width that the heads do not divide.
    """
    if preset not in _PRESETS:
        raise UsageError(f"no preset is called {preset!r}; {nearest(preset, PRESETS)}")
    if heads < 1 or width < 1 or width % heads:
        raise UsageError(f"width must be a multiple of heads, got {width} and {heads}")
    times, settings = _PRESETS[preset]
    # A multiple of 8 keeps matrix products fast.
    settings = settings | {"d_mlp": round(width * times / 8) * 8}
    settings |= {name: value for name, value in given.items() if value is not None}
    return Config(
        n_layers=layers,
        n_heads=heads,
        d_model=width,
        d_head=width // heads,
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        **settings,
    )


# A weight in float32, its gradient, and the optimizer's two means.
_A_WEIGHT = 16
_A_NUMBER = 4


def check_room(config: Config, batch: int, device: str = "cpu") -> None:
    """Passes if weights and the activations of one step are less than the memory that is free.

    Raises  UsageError otherwise.
    """
    free = _free(device)
    weights = n_weights(config)
    needed = _A_WEIGHT * weights + _A_NUMBER * _activations(config, batch)
    if needed > free:
        raise UsageError(
            f"this training needs {_size(needed)} or more and {_size(free)} are free: "
            f"{weights:,} weights, and {batch:,} × {config.n_ctx:,} tokens a step; ask for a smaller "
            "model, context, vocabulary or batch"
        )


def n_weights(config: Config) -> int:
    """How many weights the matrices of such a model have."""
    attention = 2 * config.d_model * config.d_head * (config.n_heads + config.n_kv_heads)
    mlp = (3 if config.gated else 2) * config.d_model * config.d_mlp
    ends = config.d_model * (config.d_vocab + (0 if config.tied else config.d_vocab_out))
    positions = config.n_ctx * config.d_model if config.positions == "learned" else 0
    return config.n_layers * (attention + mlp) + ends + positions


def _activations(config: Config, batch: int) -> int:
    """Numbers that the way back needs, the least: streams, what heads and MLPs read and write, patterns,
    and logits with their gradient."""
    layer = 4 * config.d_model + 4 * config.n_heads * config.d_head + 2 * config.d_mlp
    pattern = config.n_heads * config.n_ctx
    return batch * config.n_ctx * (config.n_layers * (layer + pattern) + 2 * config.d_vocab_out)


def _free(device: str) -> int:
    import psutil
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:,.1f} GB" if n_bytes < 2**60 else "more than a billion GB"


_AT_WIDTH = 768


def fresh(
    config: Config,
    seed: int,
    origin: Origin | None = None,
    tokenizer: TokenizerLoader | None = None,
) -> Transformer:
    """A model of this shape with random weights, the same for the same seed."""
    with torch.device("meta"):
        model = Transformer(config, origin, tokenizer)
    model.to_empty(device="cpu")
    deviation = DEVIATION * math.sqrt(_AT_WIDTH / config.d_model)
    initialise(model, config, deviation, torch.Generator().manual_seed(seed))
    return model
