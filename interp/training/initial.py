"""The weights that training begins with: GPT-2's scheme, with a deviation of 0.02 at a width of 768 and
by the root of the width at others."""

import math

import torch

from interp.tokenizers.loading import TokenizerLoader
from interp.transformer import Config, Origin, Transformer
from interp.transformer.initial import DEVIATION, initialise

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
