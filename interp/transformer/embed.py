"""Tokens into the residual stream, and the residual stream into logits."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from interp.transformer.config import Config
from interp.transformer.initial import initialise
from interp.transformer.project import project, unembed_tied


class Embed(nn.Module):
    """One row of W_E for every token."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.W_E = nn.Parameter(torch.empty(config.d_vocab, config.d_model))
        initialise(self, config)

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        return functional.embedding(tokens, self.W_E)


class PosEmbed(nn.Module):
    """One row of W_pos for every position: learned positions. Without `positions`, those of prompts
    that are not padded."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.W_pos = nn.Parameter(torch.empty(config.n_ctx, config.d_model))
        initialise(self, config)

    def forward(
        self, tokens: Int[Tensor, "batch pos"], positions: Int[Tensor, "batch pos"] | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        if positions is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
        return functional.embedding(positions, self.W_pos)


class Unembed(nn.Module):
    """The residual stream, normalised, times W_U. In a tied model W_U is W_E transposed: one
    parameter, registered under `embed`, and in the state dict of both."""

    def __init__(self, config: Config, embed: Embed | None = None) -> None:
        super().__init__()
        # In a tuple so that W_E is registered once.
        self._tied_to: tuple[Embed, ...] = (embed,) if config.tied and embed is not None else ()
        if not self._tied_to:
            self.W_U = nn.Parameter(torch.empty(config.d_model, config.d_vocab_out))
        if config.unembed_bias:
            self.b_U = nn.Parameter(torch.empty(config.d_vocab_out))
        initialise(self, config)

    @property
    def matrix(self) -> Float[Tensor, "d_model d_vocab"]:
        """W_U, whether it is the model's own or W_E transposed."""
        return self._tied_to[0].W_E.T if self._tied_to else self.W_U

    @property
    def bias(self) -> Float[Tensor, " d_vocab"] | None:
        """b_U, where there is one."""
        return self._parameters.get("b_U")

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_vocab"]:
        if self._tied_to:
            return unembed_tied(x, self._tied_to[0].W_E, self.bias)
        return project(x, self.W_U, self.bias)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._tied_to:
            destination[f"{prefix}W_U"] = self.matrix if keep_vars else self.matrix.detach()

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, strict: bool, *found: list[str]
    ) -> None:
        name, errors = f"{prefix}W_U", found[-1]
        rest = {key: it for key, it in state_dict.items() if key != name or not self._tied_to}
        super()._load_from_state_dict(rest, prefix, metadata, strict, *found)
        if len(rest) == len(state_dict):
            return
        W_E, given = self._tied_to[0].W_E.data, state_dict[name].T
        if given.shape != W_E.shape:
            errors.append(f"{name} must have shape {[*W_E.T.shape]}, got {[*given.T.shape]}")
        elif not prefix:
            W_E.copy_(given)
        elif not torch.equal(given.to(W_E), W_E):
            errors.append(f"{name} must be the tied embedding's W_E transposed, and is not")
