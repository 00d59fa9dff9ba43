"""How a change of what one part writes travels up the stream while every head is held.

Method  With all heads held at the clean run nothing moves between positions, so a change stays at its
        position. It stays as it is where MLPs are held too; where they are recomputed, each MLP that
        reads it adds its own response. No attention is computed and nothing is run per receiver: one
        pass through the MLPs serves every place that reads the stream on the way.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593, appendix B (heads held, MLPs
        recomputed); Goldowsky-Dill et al. 2023, Localizing Model Behavior with Path Patching,
        arXiv:2304.05969.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from fancy_einsum import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp import sites
from interp.components import Component, Slice
from interp.engine.base import Base
from interp.errors import UsageError
from interp.sites import Site
from interp.transformer import Transformer

Mlps = Literal["recomputed", "frozen"]
Reader = Literal["attention", "mlp", "logits"]
# Tokens that go through an MLP at once: a tall product, and little memory.
_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Change:
    """What the stream differs by from the base run, one row for each sender, prompt and position where
    it does. `place` counts the positions of all prompts one after the other."""

    sender: Int[Tensor, " component"]
    place: Int[Tensor, " component"]
    delta: Float[Tensor, "component d_model"]


def propagated(
    model: Transformer,
    base: Base,
    senders: Sequence[Component],
    new: Mapping[Any, Tensor],
    seen: Bool[Tensor, "batch pos"],
    mlps: Mlps,
) -> Iterator[tuple[Reader, int, Change]]:
    """What each sender changes in the stream when it writes what `new` says, at every place where the
    stream is read: by the attention of each layer, by its MLP, and by the logits.

    `seen` are the positions that somebody asks about. Senders are heads and MLPs, one apiece.

    Raises  UsageError for a sender that is neither.
    """
    config = model.config
    change = _nothing(base)
    writing: dict[Site, list[tuple[int, Slice]]] = {}
    for number, sender in enumerate(senders):
        written = _written(model, sender)
        writing.setdefault(written.site, []).append((number, written))
    for layer in range(config.n_layers):
        yield "attention", layer, change
        # In a parallel block the MLP reads what attention reads.
        read = change if config.parallel else None
        change = _joined(change, model, base, writing.get(sites.z(layer), []), new, seen)
        if not config.d_mlp:
            continue
        read = read or change
        yield "mlp", layer, read
        if mlps == "recomputed" and len(read.place):
            response = _response(model, base, layer, read)
            # Those that have joined since are the last rows.
            delta = torch.cat([read.delta + response, change.delta[len(response) :]])
            change = Change(change.sender, change.place, delta)
        change = _joined(change, model, base, writing.get(sites.mlp_out(layer), []), new, seen)
    yield "logits", config.n_layers, change


def mlp_written(model: Transformer, base: Base, layer: int) -> Float[Tensor, "batch pos d_model"]:
    """What this MLP writes in the base run."""
    block = model.block(layer)
    read = base.resid_pre[layer] if model.config.parallel else base.resid_mid[layer]
    return block.mlp(block.ln2(read))


def mlp_rewritten(
    model: Transformer, base: Base, layer: int, change: Change
) -> Float[Tensor, "component d_model"]:
    """What this MLP writes where it reads a changed stream."""
    block = model.block(layer)
    read = base.resid_pre[layer] if model.config.parallel else base.resid_mid[layer]
    stream = read.flatten(0, 1)[change.place] + change.delta
    written = [block.mlp(block.ln2(some[None]))[0] for some in stream.split(_TOKENS)]
    return torch.cat(written)


def _response(
    model: Transformer, base: Base, layer: int, read: Change
) -> Float[Tensor, "component d_model"]:
    known = mlp_written(model, base, layer).flatten(0, 1)
    return mlp_rewritten(model, base, layer, read) - known[read.place]


def _nothing(base: Base) -> Change:
    empty = base.tokens.new_zeros(0)
    return Change(empty, empty, base.resid_post.new_zeros(0, base.resid_post.shape[-1]))


def _joined(
    change: Change,
    model: Transformer,
    base: Base,
    writing: Sequence[tuple[int, Slice]],
    new: Mapping[Any, Tensor],
    seen: Bool[Tensor, "batch pos"],
) -> Change:
    """The change with that of the senders, by number, that write at one site."""
    if not writing:
        return change
    where = seen.flatten().nonzero()[:, 0]
    site = writing[0][1].site
    layer = site.layer
    assert layer is not None
    old = base.z[layer] if site.kind == "z" else mlp_written(model, base, layer)
    moved = (new[site] - old).flatten(0, 1)[where]
    if site.kind == "z":
        spelt = "component head d_head, head d_head d_model -> head component d_model"
        by_head = einsum(spelt, moved, model.block(layer).attn.W_O)
    rows = [change]
    for number, written in writing:
        delta = moved
        if site.kind == "z":
            delta = by_head.sum(0) if written.heads is None else by_head[list(written.heads)].sum(0)
        changed = (delta != 0).any(-1).nonzero()[:, 0]
        own = torch.full_like(changed, number)
        rows.append(Change(own, where[changed], delta[changed]))
    return Change(
        torch.cat([each.sender for each in rows]),
        torch.cat([each.place for each in rows]),
        torch.cat([each.delta for each in rows]),
    )


def _written(model: Transformer, sender: Component) -> Slice:
    slices = sender.slices(model)
    if len(slices) > 1 or slices[0].site.kind not in ("z", "mlp_out"):
        raise UsageError(f"a path begins at a head or an MLP, got {sender}")
    return slices[0]


def needed(model: Transformer, senders: Sequence[Component]) -> list[Site]:
    """The sites that `new` has to hold for these senders."""
    return list(dict.fromkeys(_written(model, sender).site for sender in senders))
