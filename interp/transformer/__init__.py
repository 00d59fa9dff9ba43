"""The clean transformer: one concept a file."""

from interp.transformer.attention import Attention
from interp.transformer.block import Block
from interp.transformer.config import Config, RotaryScaling
from interp.transformer.embed import Embed, PosEmbed, Unembed
from interp.transformer.mlp import MLP
from interp.transformer.model import Origin, Transformer
from interp.transformer.norm import LayerNorm
from interp.transformer.run import Run

__all__ = [
    "MLP",
    "Attention",
    "Block",
    "Config",
    "Embed",
    "LayerNorm",
    "Origin",
    "PosEmbed",
    "RotaryScaling",
    "Run",
    "Transformer",
    "Unembed",
]
