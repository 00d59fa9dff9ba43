"""The shapes that a new model can have: a preset, and what is to differ from it."""

from typing import Any

from interp.errors import UsageError, nearest
from interp.transformer import Config

_NO_BIASES = {"q_bias": False, "kv_bias": False, "o_bias": False, "mlp_bias": False}
# name -> (MLP width over d_model, settings)
_PRESETS: dict[str, tuple[float, dict[str, Any]]] = {
    "gpt2": (4, {"norm": "layernorm", "positions": "learned", "activation": "gelu_new"}),
    "llama": (
        8 / 3,
        {"norm": "rmsnorm", "positions": "rotary", "activation": "silu", "gated": True}
        | _NO_BIASES,
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
