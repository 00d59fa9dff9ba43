"""The weights that a model has before anything is loaded or learnt.

Source  Radford et al. 2019 (GPT-2): normal with 0.02; what is written to the residual stream is divided
        by the root of the number of parts that write to it.
"""

import math

import torch
from torch import nn

from interp.transformer.config import Config

DEVIATION = 0.02
_WRITERS = ("W_O", "W_out")


@torch.no_grad()
def initialise(
    part: nn.Module,
    config: Config,
    deviation: float = DEVIATION,
    generator: torch.Generator | None = None,
) -> None:
    """Draws the weights of a model or a part of one, in the order of their names, from this generator
    or from torch's own: matrices normal with this deviation, biases 0, norms 1. On the meta device,
    on which loading builds, nothing is drawn."""
    first = next(part.parameters(), None)
    if first is None or first.is_meta:
        return
    n_writers = config.n_layers * (2 if config.d_mlp else 1)
    for name, parameter in part.named_parameters():
        leaf = name.rpartition(".")[2]
        if leaf == "w":
            parameter.fill_(1.0)
        elif leaf == "b" or leaf.startswith("b_"):
            parameter.zero_()
        else:
            scale = 1 / math.sqrt(n_writers) if leaf in _WRITERS else 1.0
            parameter.normal_(0.0, deviation * scale, generator=generator)
