"""How a change of what one part writes travels up the stream while every head is held.

Nothing then moves between positions, so that a change stays at its own and each recomputed MLP that reads
it adds a response: one pass through the MLPs serves every receiver.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from fancy_einsum import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp import sites
from interp.components import MLP, Component, Head, KVHead, Logits, Slice
from interp.engine.base import Base
from interp.errors import UsageError
from interp.sites import Site
from interp.tasks.batches import PromptBatch
from interp.transformer import Transformer

Input = Literal["q", "k", "v", "mlp", "logits"]
_HAVE: dict[Input, tuple[type[Component], ...]] = {
    "q": (Head,),
    "k": (Head, KVHead),
    "v": (Head, KVHead),
    "mlp": (MLP,),
    "logits": (Logits,),
}


@dataclass(frozen=True, slots=True)
class Receiver:
    """One input of one component. A head reads a private copy of a changed k or v; that of a key/value
    head all its query heads read. `at` names the position at which the receiver reads the change (as a
    query, a neuron's input); None is every one.

    Raises  UsageError for an input that the component has not.
    """

    component: Component
    input: Input
    at: str | None = None

    def __post_init__(self) -> None:
        fits = isinstance(self.component, _HAVE.get(self.input, ()))
        # A part of an MLP says what it writes of the residual stream that it reads.
        fits |= self.input == "mlp" and hasattr(self.component, "writes")
        if not fits or (self.input == "logits" and self.at is not None):
            raise UsageError(
                "a receiver is q of a Head, k or v of a Head or a KVHead, mlp of an MLP, or logits of "
                f"the Logits (which are read at END); got {self!r}"
            )

    @property
    def layer(self) -> int | None:
        return self.component.layer

    def __str__(self) -> str:
        return str(self.component)


def query_heads(model: Transformer, receiver: Receiver) -> list[int]:
    """The query heads that read what the receiver, a head or key/value head, reads."""
    (where,) = receiver.component.slices(model)
    return list(where.heads or ())


def read_at(receiver: Receiver, batch: PromptBatch) -> Int[Tensor, "batch label"]:
    """The positions at which the receiver reads a change."""
    n_examples, n_pos = batch.clean.shape
    every = torch.arange(n_pos, device=batch.clean.device).expand(n_examples, -1)
    if receiver.input == "logits":
        return every[:, -1:]
    if receiver.at is None:
        return every
    return batch.position(receiver.at)[:, None]


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
    stream is read: by the attention of each layer, by its MLP, and by the logits. `seen` are the positions
    that somebody asks about. Senders are heads and MLPs, one apiece.

    Raises  UsageError for a sender that is neither.
    """
    config = model.config
    empty = base.tokens.new_zeros(0)
    change = Change(empty, empty, base.resid_post.new_zeros(0, base.resid_post.shape[-1]))
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
            known = mlp_written(model, base, layer).flatten(0, 1)[read.place]
            response = mlp_rewritten(model, base, layer, read) - known
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
