"""What heads write when their queries, keys or values are read from a changed stream, the other two
from the base run. The heads share one key/value head; the change is theirs alone."""

from collections.abc import Sequence
from typing import Literal

import torch
from fancy_einsum import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp.engine.base import Base
from interp.methods.propagation import Change
from interp.transformer import Transformer
from interp.transformer.norm import at_least_float32
from interp.transformer.project import read_heads
from interp.transformer.rotary import Angles


class ChangedInputs:
    """These query heads of one layer at the positions `at`, ready to read one input anew."""

    def __init__(
        self,
        model: Transformer,
        base: Base,
        which: Literal["q", "k", "v"],
        layer: int,
        heads: Sequence[int],
        at: Int[Tensor, "batch label"],
    ) -> None:
        self.which, self.layer, self.heads, self.at = which, layer, list(heads), at
        self.base, self.block = base, model.block(layer)
        self._rows = torch.arange(len(at), device=at.device)[:, None]
        self.kv_head = self.heads[0] // model.config.group
        x = self.block.ln1(base.resid_pre[layer])
        q = self.block.attn.queries(x, base.around.rotary)
        self.known = {
            "q": q[:, :, self.heads],
            "k": base.keys[layer][:, :, [self.kv_head]],
            "v": base.values[layer][:, :, [self.kv_head]],
        }
        mask = base.around.mask(layer).expand(len(at), -1, -1, -1)[:, 0]
        self.mask = mask[self._rows, at]
        self.z = base.z[layer][:, :, self.heads][self._rows, at]

    def read(self, change: Change) -> Float[Tensor, "component 1 d_head"]:
        """The input as it is read from each changed place."""
        attn = self.block.attn
        stream = self.base.resid_pre[self.layer].flatten(0, 1)[change.place] + change.delta
        x = self.block.ln1(stream[None])
        rotary = self._rotary(change.place)
        index = self.heads if self.which == "q" else [self.kv_head]
        W = {"q": attn.W_Q, "k": attn.W_K, "v": attn.W_V}[self.which][index]
        b = {"q": attn.b_Q, "k": attn.b_K, "v": attn.b_V}[self.which]
        raw = read_heads(x, W, None if b is None else b[index])
        if self.which == "q":
            return attn.place_queries(raw, rotary)[0]
        return attn.place_keys(raw, rotary)[0] if self.which == "k" else raw[0]

    def changed(
        self, place: Int[Tensor, " component"], read: Float[Tensor, "component 1 d_head"]
    ) -> Float[Tensor, "batch label head d_head"]:
        """z of the heads, with what was read anew at these places."""
        old = self.known[self.which]
        new = old.flatten(0, 1).clone()
        new[place] = read
        whole = {**self.known, self.which: new.view_as(old)}
        q, k, v = whole["q"][self._rows, self.at], whole["k"][:, :, 0], whole["v"][:, :, 0]
        scores = einsum("batch query head d_head, batch key d_head -> batch head query key", q, k)
        scores = (scores / self.block.attn.scale).masked_fill(~self.mask[:, None], float("-inf"))
        pattern = at_least_float32(scores).softmax(-1).to(q.dtype)
        z = einsum("batch head query key, batch key d_head -> batch query head d_head", pattern, v)
        # Where nothing that is attended to has changed, z stays what it was to the last bit.
        return torch.where(self._reached(place)[..., None, None], z, self.z)

    def _reached(self, place: Int[Tensor, " component"]) -> Tensor:
        changed = torch.zeros_like(self.base.real).flatten()
        changed[place] = True
        changed = changed.view_as(self.base.real)
        if self.which == "q":
            return changed[self._rows, self.at]
        return (self.mask & changed[:, None]).any(-1)

    def _rotary(self, place: Int[Tensor, " component"]) -> Angles | None:
        rotary = self.base.around.rotary
        if rotary is None:
            return None
        n_examples, n_pos = self.base.tokens.shape
        cos, sin = (
            part.expand(n_examples, n_pos, -1, -1).flatten(0, 1)[place][None]
            for part in (rotary.cos, rotary.sin)
        )
        return Angles(cos, sin)
