"""Tokens into the residual stream, and the residual stream into logits."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from interp.transformer.config import Config
from interp.transformer.initial import initialise
from interp.transformer.layout import Tied
from interp.transformer.project import project, unembed_tied
from interp.transformer.shapes import Logits, Resid, Tokens


class Embed(nn.Module):
    """One row of W_E for every token."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.W_E = nn.Parameter(torch.empty(config.d_vocab, config.d_model))
        initialise(self, config)

    def forward(self, tokens: Tokens) -> Resid:
        return functional.embedding(tokens, self.W_E)


class PosEmbed(nn.Module):
    """One row of W_pos for every position of tokens or of a residual stream: learned positions. Without
    `positions`, prompts begin at the first and are not padded."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.W_pos = nn.Parameter(torch.empty(config.n_ctx, config.d_model))
        initialise(self, config)

    def forward(
        self, x: Tokens | Resid, positions: Int[Tensor, "batch pos"] | None = None
    ) -> Resid:
        if positions is None:
            positions = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
        return functional.embedding(positions, self.W_pos)


class Unembed(Tied):
    """The residual stream, normalised, times W_U. In a tied model W_U is W_E transposed."""

    def __init__(self, config: Config, embed: Embed | None = None) -> None:
        super().__init__(embed if config.tied else None)
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

    def forward(self, x: Resid) -> Logits:
        if self._tied_to:
            return unembed_tied(x, self._tied_to[0].W_E, self.bias)
        return project(x, self.W_U, self.bias)
