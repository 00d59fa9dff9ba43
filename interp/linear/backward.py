"""A run that can be differentiated, in which rules say what flows back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from interp.edits import Edit
from interp.linear.rules import Rules
from interp.sites import Site
from interp.transformer.config import Config
from interp.transformer.hooks import RunHooks

# The parts whose activations are constants of the run where a rule says `frozen`.
_CONSTANT: dict[str, tuple[str, ...]] = {
    "block_norm": ("ln1_scale", "ln2_scale"),
    "qk_norm": ("q_scale", "k_scale"),
    "final_norm": ("final_scale",),
    "attention": ("pattern",),
}
# GIM: the temperature of the softmax, and what queries, keys and values get of what flows back.
_TEMPERATURE = 2.0
_SHARES = {"q": 0.25, "k": 0.25, "v": 0.5}


class Linearised(RunHooks):
    """Keeps the activations that slopes are taken at, and lets flow back what rules say."""

    def __init__(
        self,
        config: Config,
        rules: Rules,
        edits: Sequence[Edit] = (),
        keep: Iterable[Site] = (),
    ) -> None:
        super().__init__(edits, keep)
        self._rules, self._before = rules, dict[Site, Tensor]()
        self._constant = {
            kind
            for part, kinds in _CONSTANT.items()
            if getattr(rules, part) == "frozen"
            for kind in kinds
        }
        self._shares = _SHARES if rules.attention == "gim" else {}
        # What is computed from what, where the slope in between is not the true one.
        self._from: dict[str, str] = {}
        if rules.attention == "gim":
            self._from["pattern"] = "scores"
        if rules.activation == "ratio":
            self._from["gate" if config.gated else "mlp_post"] = "mlp_pre"
        self._at_zero = 0.0 if config.activation == "relu" else 0.5
        self._halved = "mlp_post" if rules.gate == "half" and config.gated else ""
        self._ruled = {*self._constant, *self._shares, *self._from, *self._from.values()}
        self._ruled |= {self._halved, "embed"}

    def wants(self, site: Site) -> bool:
        return site.kind in self._ruled or super().wants(site)

    def __call__(self, site: Site, activation: Tensor) -> Tensor:
        if site.kind == "embed":
            # Slopes flow back to here also where weights take none.
            activation = super().__call__(site, activation)
            return activation if activation.requires_grad else activation.requires_grad_()
        if site.kind not in self._ruled:
            return super().__call__(site, activation)
        if before := self._from.get(site.kind):
            x = self._before.pop(Site(before, site.layer))
            value = activation.detach()
            if site.kind == "pattern":
                activation = _Tempered.apply(x, value)
            else:
                activation = _Ratio.apply(x, value, self._at_zero)
        if site.kind == self._halved:
            activation = _Share.apply(activation, 0.5)
        activation = super().__call__(site, activation)
        if site.kind in self._from.values():
            self._before[site] = activation
        if site.kind in self._shares:
            activation = _Share.apply(activation, self._shares[site.kind])
        return activation.detach() if site.kind in self._constant else activation


class _Share(torch.autograd.Function):
    """x, of whose slope a share flows back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        ctx.share = share
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return slope * ctx.share, None


class _Ratio(torch.autograd.Function):
    """f(x), whose slope is f(x) / x, and at 0 what that tends to."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, at_zero: float) -> Tensor:
        ctx.save_for_backward(torch.where(x == 0, at_zero, value / x))
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        (ratio,) = ctx.saved_tensors
        return slope * ratio, None, None


class _Tempered(torch.autograd.Function):
    """A softmax of scores, through which slopes flow back as through one at a higher temperature."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, pattern: Tensor) -> Tensor:
        ctx.save_for_backward(scores)
        return pattern.view_as(pattern)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        (scores,) = ctx.saved_tensors
        softer = (scores / _TEMPERATURE).softmax(-1)
        return softer * (slope - (slope * softer).sum(-1, keepdim=True)), None
