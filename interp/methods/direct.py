"""What a component writes, and what a change of the last stream does to the logit difference, the final
norm computed again.

Method  The direct effect of replacing a component is that of its own write alone: the clean stream
        at END plus the change in what the component writes there, through the final norm (whose scale
        is that of the changed stream) and the unembedding. No later component reacts.
Units   Logits of answer minus wrong, changed minus clean: the sign of the total effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from fancy_einsum import einsum
from jaxtyping import Float
from torch import Tensor

from interp.components import Component, Slice
from interp.methods.norms import through
from interp.metrics import LogitDifference
from interp.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Readout:
    """The logit difference as a function of the last stream, `⟨stream, direction⟩ / scale(stream) +
    constant`, in float64, since effects are small differences of large numbers."""

    direction: Float[Tensor, "batch d_model"]
    constant: Float[Tensor, " batch"]
    kind: str
    eps: float

    def __call__(self, stream: Float[Tensor, "... batch d_model"]) -> Float[Tensor, "... batch"]:
        """The logit difference of every prompt whose last stream this is."""
        return self.along(stream) / self.scale(stream) + self.constant

    def along(self, stream: Float[Tensor, "... batch d_model"]) -> Float[Tensor, "... batch"]:
        """⟨stream, direction⟩, the stream not yet divided by its scale."""
        return (stream.to(self.direction) * self.direction).sum(-1)

    def scale(self, stream: Float[Tensor, "... batch d_model"]) -> Float[Tensor, "... batch"]:
        """What the final norm divides by."""
        stream = stream.to(self.direction)
        if self.kind == "none":
            return torch.ones_like(stream[..., 0])
        if self.kind == "layernorm":
            stream = stream - stream.mean(-1, keepdim=True)
        return (stream.square().mean(-1) + self.eps).sqrt()

    def effect(
        self, stream: Float[Tensor, "batch d_model"], change: Float[Tensor, "... batch d_model"]
    ) -> Float[Tensor, "... batch"]:
        """The direct effect of adding `change`, or each of several, to this stream."""
        stream = stream.to(self.direction)
        return self(stream + change.to(stream)) - self(stream)


@torch.no_grad()
def readout(model: Transformer, metric: LogitDifference) -> Readout:
    """How this model reads the difference between answer and wrong from its last stream.

    >>> prompts = tasks.batches.whole(task)
    >>> read = readout(model, metrics.logit_difference(prompts))
    >>> run = prompts.run(model, keep=[sites.resid_post(2)])
    >>> end = run.cache[sites.resid_post(2)][torch.arange(len(prompts)), prompts.end]
    >>> read(end).shape
    torch.Size([8])
    """
    W_U, b_U = model.unembed.matrix, model.unembed.bias
    apart = (W_U[:, metric.answer] - W_U[:, metric.wrong]).T
    norm = model.ln_final
    direction, constant = through(norm, apart, torch.ones_like(apart[:, :1]))
    if b_U is not None:
        constant = constant + b_U[metric.answer] - b_U[metric.wrong]
    return Readout(direction.double(), constant.double(), norm.kind, norm.eps)


def written(
    model: Transformer, component: Component, values: Mapping[Any, Tensor], at: int = -1
) -> Float[Tensor, "batch d_model"]:
    """What the component itself writes to the residual stream at one position, from the activations of a
    run that kept its sites (`components.sites_of`). Of the parts of a layer, none has the layer's bias.

    Raises  UsageError for a component that this model does not have, or that is no activation.
    """
    found = [_written(model, each, values[each.site][:, at]) for each in component.slices(model)]
    return torch.stack(found).sum(0)


def change_written(
    model: Transformer,
    component: Component,
    old: Mapping[Any, Tensor],
    new: Mapping[Any, Tensor],
    at: int = -1,
) -> Float[Tensor, "batch d_model"]:
    """The change in what the component itself writes at one position when its activations go from old to new.

    Raises  UsageError for a component that this model does not have.
    """
    changes = [
        _written(model, each, (new[each.site] - old[each.site])[:, at])
        for each in component.slices(model)
    ]
    return torch.stack(changes).sum(0)


def _written(
    model: Transformer, where: Slice, change: Float[Tensor, "batch ..."]
) -> Float[Tensor, "batch d_model"]:
    layer = where.site.layer
    if layer is not None and where.site.kind == "z":
        spelt = "batch head d_head, head d_head d_model -> batch d_model"
        which = _index(where.heads)
        return einsum(spelt, change[:, which], model.block(layer).attn.W_O[which])
    if layer is not None and where.site.kind == "mlp_post":
        units = _index(where.units)
        W_out = model.block(layer).mlp.W_out[units]
        return einsum("batch d_mlp, d_mlp d_model -> batch d_model", change[:, units], W_out)
    return change


def _index(chosen: tuple[int, ...] | None) -> list[int] | slice:
    # A tuple would index one axis after the other.
    return slice(None) if chosen is None else list(chosen)
