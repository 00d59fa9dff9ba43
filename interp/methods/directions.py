"""Directions drawn at random, one for every prompt and position.

Each prompt's are drawn by itself, from the seed, the draw, the site and the prompt's own tokens. So
the same prompt has the same directions in whatever batch it runs, and no two prompts share them.
"""

from collections.abc import Sequence
from hashlib import sha256

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.sites import Site, parse


def seeded(*words: object) -> int:
    """A seed that is that of these words on every machine, and of no others."""
    return int(sha256(" ".join(map(str, words)).encode()).hexdigest()[:15], 16)


def noise(
    shape: Sequence[int], seed: int, draw: int, tokens: Int[Tensor, "batch pos"], site: Site | str
) -> Float[Tensor, "batch ..."]:
    """Standard normal numbers in float64, of this shape for each prompt, on the device of the tokens."""
    name, size = parse(site).name, tuple(shape)
    drawn = torch.empty(len(tokens), *size, dtype=torch.float64)
    generator = torch.Generator()
    for row, prompt in zip(drawn, tokens.tolist(), strict=True):
        generator.manual_seed(seeded(seed, draw, name, prompt))
        torch.randn(size, generator=generator, dtype=torch.float64, out=row)
    return drawn.to(tokens.device)
