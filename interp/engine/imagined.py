"""A model whose runs cost nothing, for a rehearsal: what would be run is noted, and what comes back has
the right shapes and is made up.

What is made up depends, as in a causal model, on the prompt up to each position: where two prompts
begin alike, so do their activations, and a patch of what is the same in both is seen to change nothing.
"""

import copy
import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp import sites
from interp.engine.localise import sizes
from interp.sites import Site
from interp.transformer import Transformer
from interp.transformer.hooks import NO_HOOKS, Hooks

# A large prime: prefixes that differ have different numbers, nearly always.
_PRIME = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Forward:
    """A forward pass that a rehearsal noted: so many prompts of so many tokens, and how many of a
    prompt's positions were read."""

    n_examples: int
    n_pos: int
    n_read: int


class Imagining(Transformer):
    """What a model becomes for a rehearsal. Runs with gradients are real."""

    forwards: list[Forward]

    def compute(
        self,
        tokens: Int[Tensor, "batch pos"],
        real: Bool[Tensor, "batch pos"],
        hooks: Hooks = NO_HOOKS,
        logits_at: Int[Tensor, "batch label"] | None = None,
    ) -> Float[Tensor, "batch label d_vocab"]:
        if torch.is_grad_enabled():
            return super().compute(tokens, real, hooks, logits_at)
        n_examples, n_pos = tokens.shape
        n_read = n_pos if logits_at is None else logits_at.shape[1]
        self.forwards.append(Forward(n_examples, n_pos, n_read))
        self._pass(tokens, hooks)
        logits = self.embed.W_E.new_zeros(n_examples, n_read, self.config.d_vocab_out)
        return hooks(sites.logits(), logits)

    def stream(
        self,
        tokens: Int[Tensor, "batch pos"],
        real: Bool[Tensor, "batch pos"],
        hooks: Hooks = NO_HOOKS,
        n_layers: int | None = None,
    ) -> Float[Tensor, "batch pos d_model"]:
        if torch.is_grad_enabled():
            return super().stream(tokens, real, hooks, n_layers)
        self.forwards.append(Forward(len(tokens), tokens.shape[1], 0))
        self._pass(tokens, hooks)
        return self.imagined(sites.resid_post(self.config.n_layers - 1), tokens)

    def _pass(self, tokens: Int[Tensor, "batch pos"], hooks: Hooks) -> None:
        """Passes every site that is asked for."""
        for site in self.sites:
            if site != sites.logits() and hooks.wants(site):
                hooks(site, self.imagined(site, tokens))

    def imagined(self, site: Site, tokens: Int[Tensor, "batch pos"]) -> Tensor:
        """An activation of this site, made up from the tokens up to each position."""
        of_axis = sizes(self.config, tokens.shape[1])
        axes = site.axes[1:]
        at = next(place for place, axis in enumerate(axes) if axis in ("pos", "query"))
        rest = [1 if place == at else of_axis[axis] for place, axis in enumerate(axes)]
        digest = hashlib.sha256(site.name.encode()).hexdigest()
        generator = torch.Generator().manual_seed(int(digest[:15], 16))
        some = torch.randn(4, *rest, generator=generator).to(self.embed.W_E)
        spread = [4, len(tokens)] + [1] * len(axes)
        spread[2 + at] = tokens.shape[1]
        weights = self._by_prefix(tokens).to(some).reshape(spread)
        found = weights[0] * some[0]
        for weight, each in zip(weights[1:], some[1:], strict=True):
            found += weight * each
        return found

    def _by_prefix(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "4 batch pos"]:
        """Four numbers for every position, which the tokens up to it decide (all of them, where the
        model looks ahead)."""
        number = torch.zeros(len(tokens), dtype=torch.int64, device=tokens.device)
        numbers = []
        for column in tokens.unbind(1):
            number = (number * 48271 + column + 1) % _PRIME
            numbers.append(number)
        found = torch.stack(numbers, 1)
        if not self.config.causal:
            found = found[:, -1:] + torch.arange(tokens.shape[1], device=tokens.device)
        return torch.stack([torch.sin(found.double() * (each + 1)) for each in range(4)])


def imagining(model: Transformer) -> Imagining:
    """The model for a rehearsal. It is another object, which whatever remembers runs by their model
    takes for another model; the weights are the same."""
    twin: Any = copy.copy(model)
    twin.__class__ = type("Imagining", (Imagining, type(model)), {})
    twin.forwards = []
    return twin
