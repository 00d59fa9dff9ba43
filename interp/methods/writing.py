"""What a component writes to the residual stream."""

from collections.abc import Mapping
from typing import Any

import torch
from fancy_einsum import einsum
from jaxtyping import Float
from torch import Tensor

from interp.components import Component, Slice
from interp.transformer import Transformer


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
    """The change in what the component itself writes to the residual stream at one position when its
    activations go from `old` to `new`.

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
