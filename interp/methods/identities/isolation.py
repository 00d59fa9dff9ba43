"""Attention is the only part of the model that moves information between positions: shown, not said.

Method  Change one token and see which positions of the stream change, layer by layer. Then do the
        same with every attn_out frozen at what it was before the change: whatever still changes was
        moved by something other than attention.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp import edits, sites
from interp.errors import UsageError
from interp.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Isolation:
    """‖stream changed − stream‖ / ‖stream‖ after every layer and at every position, with attention
    free to react to the changed token and with every attn_out frozen."""

    free: Float[Tensor, "layer pos"]
    frozen: Float[Tensor, "layer pos"]
    position: int
    replacement: int

    @property
    def leak(self) -> float:
        """The largest change at a position other than the changed one, attention frozen."""
        return float(_without(self.frozen, self.position).max())

    @property
    def moved(self) -> float:
        """The largest change at a position other than the changed one, attention free."""
        return float(_without(self.free, self.position).max())


def isolation(model: Transformer, tokens: Int[Tensor, "batch pos"], position: int) -> Isolation:
    """What changes in the residual stream of one prompt when the token at `position` is replaced by the
    nearest other token of the prompt before it, or after, or by the next of the vocabulary.

    >>> changed = isolation(model, torch.tensor([[3, 1, 4, 1]]), position=1)
    >>> changed.leak < 1e-5 < changed.moved
    True

    Raises  UsageError if there is more than one prompt, or one token alone.
    """
    if len(tokens) != 1 or tokens.shape[1] < 2:
        raise UsageError(f"expected one prompt of at least two tokens, got {list(tokens.shape)}")
    position %= tokens.shape[1]
    ids = tokens[0].tolist()
    others = [each for each in [*ids[:position][::-1], *ids[position:]] if each != ids[position]]
    replacement = others[0] if others else (ids[position] + 1) % model.config.d_vocab
    layers = range(model.config.n_layers)
    changed = tokens.clone()
    changed[0, position] = replacement
    streams = [sites.resid_post(layer) for layer in layers]
    attention = [sites.attn_out(layer) for layer in layers]

    base = model.run(tokens, keep=[*streams, *attention], logits_at=-1).cache
    free = model.run(changed, keep=streams, logits_at=-1).cache
    freezing = [edits.freeze(site, base) for site in attention]
    frozen = model.run(changed, edits=freezing, keep=streams, logits_at=-1).cache

    before = base.stack("resid_post")[:, 0]
    length = before.norm(dim=-1)
    return Isolation(
        free=(free.stack("resid_post")[:, 0] - before).norm(dim=-1) / length,
        frozen=(frozen.stack("resid_post")[:, 0] - before).norm(dim=-1) / length,
        position=position,
        replacement=replacement,
    )


def _without(change: Float[Tensor, "layer pos"], position: int) -> Tensor:
    others = torch.arange(change.shape[1]) != position
    return change[:, others]
