"""The weights that training begins with.

Source  Radford et al. 2019 (GPT-2): normal with 0.02 at a width of 768, here by the root of the width;
        what is written to the stream is divided by the root of the number of writers.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from interp.transformer import Config, Origin, Transformer
from interp.transformer.model import TokenizerLoader

_DEVIATION, _AT_WIDTH = 0.02, 768
_WRITERS = ("W_O", "W_out")


def fresh(
    config: Config,
    seed: int,
    origin: Origin | None = None,
    tokenizer: TokenizerLoader | None = None,
) -> Transformer:
    """A model of this shape with random weights, the same for the same seed."""
    model = Transformer(config, origin, tokenizer)
    generator = torch.Generator().manual_seed(seed)
    n_writers = config.n_layers * (2 if config.d_mlp else 1)
    usual = _DEVIATION * math.sqrt(_AT_WIDTH / config.d_model)
    for name, parameter in model.named_parameters():
        leaf = name.rpartition(".")[2]
        _draw(leaf, parameter, usual / math.sqrt(n_writers if leaf in _WRITERS else 1), generator)
    return model


@torch.no_grad()
def _draw(leaf: str, parameter: nn.Parameter, deviation: float, generator: torch.Generator) -> None:
    if leaf == "w":
        parameter.fill_(1.0)
    elif leaf == "b" or leaf.startswith("b_"):
        parameter.zero_()
    else:
        parameter.normal_(0.0, deviation, generator=generator)
