"""LayerNorm, RMSNorm or none: what the residual stream is divided by before a layer reads it."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp.sites import Site
from interp.transformer import fused
from interp.transformer.config import Config
from interp.transformer.config import Norm as Kind
from interp.transformer.hooks import NO_HOOKS, Hooks


def at_least_float32(x: Tensor) -> Tensor:
    """x in float32, or in its own type if that is wider: what norms and softmax need."""
    return x if x.dtype.itemsize >= 4 else x.float()


class Norm(nn.Module):
    """`x / scale`, then the norm's own weight and bias.

    LayerNorm subtracts the mean first; `scale` is the root of the mean square that is left. A norm
    of kind "none" is the identity and has neither weights nor sites.
    """

    def __init__(self, kind: Kind, size: int, eps: float) -> None:
        super().__init__()
        self.kind, self.eps = kind, eps
        if kind != "none":
            self.w = nn.Parameter(torch.ones(size))
        if kind == "layernorm":
            self.b = nn.Parameter(torch.zeros(size))

    def forward(
        self,
        x: Float[Tensor, "*batch d_model"],
        hooks: Hooks = NO_HOOKS,
        scale_site: Site | None = None,
        normalized_site: Site | None = None,
    ) -> Float[Tensor, "*batch d_model"]:
        if self.kind == "none":
            return x
        dtype, x = x.dtype, at_least_float32(x)
        watched = any(site and hooks.wants(site) for site in (scale_site, normalized_site))
        if self.training and torch.is_grad_enabled() and not watched:
            return fused.normed(x, self.w, self._parameters.get("b"), self.eps).to(dtype)
        if self.kind == "layernorm":
            x = x - x.mean(-1, keepdim=True)
        scale = (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()
        if scale_site is not None:
            scale = hooks(scale_site, scale)
        x = x / scale
        if normalized_site is not None:
            x = hooks(normalized_site, x)
        x = x * self.w
        return (x + self.b if self.kind == "layernorm" else x).to(dtype)


class LayerNorm(Norm):
    """The norm through which the residual stream is read, of the kind that the config says: RMSNorm
    or none in models that have these."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.norm, config.d_model, config.norm_eps)
