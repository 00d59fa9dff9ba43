"""How far a component's activation moves from one run to another, and moves of equal norm elsewhere.

At every position each vector of an activation (a neuron's has one dimension) is moved as far from the base
run as the other run of the pair lies: in a direction drawn at random, or along the difference between what
the component does on two prompts of other templates. Every prompt has directions of its own, drawn from the
seed, the draw, the site and its tokens: the same in whatever batch it runs.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.metrics import logit_difference
from interp.sites import Site, parse
from interp.tasks.batches import PromptBatch
from interp.transformer import Transformer


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


Direction = Literal["denoise", "noise"]
Way = Literal["random", "manifold"]
# Each way of choosing another direction, as reports call it.
WAYS: dict[Way, str] = {
    "random": "random directions of equal norm",
    "manifold": "differences of unrelated prompts, of equal norm",
}


class Moves:
    """The base run of a batch, the run that its activations are taken from, and changes as large in other
    directions; `gap` is the logit difference of that other run minus that of the base run."""

    def __init__(
        self,
        model: Transformer,
        batch: PromptBatch,
        wanted: Sequence[Site],
        direction: Direction = "noise",
    ) -> None:
        tokens = batch.clean, batch.corrupted
        self.batch, self.wanted = batch, wanted
        self.base_tokens, source = tokens if direction == "noise" else tokens[::-1]
        runs = [model.run(each, keep=wanted, logits_at=-1) for each in (self.base_tokens, source)]
        self.base, self.other = (run.cache for run in runs)
        base, other = (run.logits[:, 0].double() for run in runs)
        self.gap = logit_difference(batch).of(other - base)

    def moved(self, bank: "Bank", way: Way, draw: int, seed: int) -> dict[Site, Tensor]:
        """The base activations, moved as far as the other run's lie, in another direction."""
        new = {}
        for site in self.wanted:
            base = self.base[site]
            drawn = noise(base.shape[1:], seed, draw, self.base_tokens, site)
            if way == "manifold":
                along = bank.differences(self, site, draw, seed)
                # Two unrelated prompts may do just the same somewhere: there any direction will do.
                drawn = torch.where(_norm(site, along) > 0, along, drawn)
            far = _norm(site, (self.other[site] - base).double())
            new[site] = base + (drawn * (far / _norm(site, drawn))).to(base)
        return new


class Bank:
    """What the components do on every fresh prompt, to take differences of unrelated ones from."""

    def __init__(self, runs: Sequence[Moves]) -> None:
        self._rows = [(run, row) for run in runs for row in range(len(run.batch.prompts))]
        self._templates = np.array([run.batch.prompts[row].template for run, row in self._rows])

    def differences(self, run: Moves, site: Site, draw: int, seed: int) -> Tensor:
        """For each prompt of a batch the difference, position by position from END, between two prompts
        of other templates where there are two, else between any two."""
        length = run.base_tokens.shape[1]
        rows = [
            self._at(one, site, length) - self._at(two, site, length)
            for one, two in (self._two(run, row, draw, seed) for row in range(len(run.base[site])))
        ]
        return torch.stack(rows)

    def _two(self, run: Moves, row: int, draw: int, seed: int) -> list[int]:
        prompt = run.batch.prompts[row]
        others = np.flatnonzero(self._templates != prompt.template)
        if len(others) < 2:
            others = np.arange(len(self._rows))
        tokens = run.base_tokens[row].tolist()
        random = np.random.default_rng(seeded(seed, draw, "unrelated", tokens))
        drawn: list[int] = random.choice(others, 2, replace=len(others) < 2).tolist()
        return drawn

    def _at(self, which: int, site: Site, length: int) -> Float[Tensor, "pos ..."]:
        run, row = self._rows[which]
        activation = run.base[site][row].double()
        # The first position is unlike all others, so shorter prompts repeat their second.
        first = min(1, len(activation) - 1)
        places = torch.arange(len(activation) - length, len(activation)).clamp(min=first)
        return activation[places.to(activation.device)]


def _norm(site: Site, change: Tensor) -> Tensor:
    """The norm of each vector; neurons are vectors of one dimension each."""
    return change.abs() if site.kind == "mlp_post" else change.norm(dim=-1, keepdim=True)
