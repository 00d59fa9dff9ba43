"""The MLP: what every position computes from its own residual stream alone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from interp import sites
from interp.transformer.config import Activation, Config
from interp.transformer.hooks import NO_HOOKS, Hooks
from interp.transformer.initial import initialise
from interp.transformer.project import project
from interp.transformer.shapes import Resid

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
}


class MLP(nn.Module):
    """act(x W_in) W_out, or, gated, (act(x W_gate) * x W_in) W_out; with biases where the model has them."""

    def __init__(self, config: Config, layer: int = 0) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        self.act = ACTIVATIONS[config.activation]
        bias = config.mlp_bias
        self.W_in = nn.Parameter(torch.empty(config.d_model, config.d_mlp))
        self.W_out = nn.Parameter(torch.empty(config.d_mlp, config.d_model))
        self.b_in = nn.Parameter(torch.empty(config.d_mlp)) if bias else None
        self.b_out = nn.Parameter(torch.empty(config.d_model)) if bias else None
        if config.gated:
            self.W_gate = nn.Parameter(torch.empty(config.d_model, config.d_mlp))
            self.b_gate = nn.Parameter(torch.empty(config.d_mlp)) if bias else None
        initialise(self, config)

    def forward(self, x: Resid, hooks: Hooks = NO_HOOKS) -> Resid:
        layer = self.layer
        linear = project(x, self.W_in, self.b_in)
        if self.config.gated:
            pre = hooks(sites.mlp_pre(layer), project(x, self.W_gate, self.b_gate))
            gate = hooks(sites.gate(layer), self.act(pre))
            post = gate * hooks(sites.mlp_pre_linear(layer), linear)
        else:
            post = self.act(hooks(sites.mlp_pre(layer), linear))
        post = hooks(sites.mlp_post(layer), post)
        return hooks(sites.mlp_out(layer), project(post, self.W_out, self.b_out))
