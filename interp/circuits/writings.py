"""What the writers of circuits write, and for any readers the sums over some writers each.

Method  Where few edges are summed each reader's rows are added up, one by one. Where many are, a product of
        the mask and of what is written takes the same time for any number of them: it is made for the readers
        of several layers at once, over all that is written so far, and each layer adds what came since.
        Tokens are in the order of their places: each place has its own mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import embedding_bag

# Of so many possible edges a product is as fast as adding up one of them.
_DENSE = 10
# Readers for which a product is made at once: of fewer, what is written is read too often.
_AHEAD = 64

Values = Float[Tensor, "writer circuit _ d_model"]
Streams = Float[Tensor, "reader circuit _ d_model"]


class Writings:
    """What some writers write, minus its ablated values, in the order in which it is written. `chosen` says
    whose sum each reader has, in each circuit and each place; `sizes` how many tokens of all prompts together
    a place has, which lie in the order of places."""

    def __init__(
        self,
        chosen: Bool[np.ndarray, "reader circuit writer place"],
        sizes: Sequence[int],
        like: Float[Tensor, "_ d_model"],
    ) -> None:
        n_circuits, n_writers, n_places = chosen.shape[1:]
        self.chosen, self.sizes, self.n_circuits, self.n = chosen, [*sizes], n_circuits, 0
        shape = (n_writers, n_circuits)
        self.parts = [like.new_empty(*shape, size, like.shape[-1]) for size in self.sizes]
        self.few = chosen.sum() * _DENSE < chosen.size / 2
        self._ahead: list[_Ahead | None] = [None] * n_places

    def add(self, values: Values, ablated: Float[Tensor, "writer 1 _ d_model"]) -> None:
        """The next writers write this; these are their ablated values."""
        these = slice(self.n, self.n + len(values))
        splits = zip(values.split(self.sizes, 2), ablated.split(self.sizes, 2), strict=True)
        for part, (value, minus) in zip(self.parts, splits, strict=True):
            torch.sub(value, minus, out=part[these])
        self.n = these.stop

    def total(self, since: int) -> Float[Tensor, "circuit _ d_model"]:
        """The sum of all from number `since` on."""
        found = [part[since : self.n].sum(0) for part in self.parts]
        return found[0] if len(found) == 1 else torch.cat(found, 1)

    def sums(self, rows: Sequence[int]) -> Streams | None:
        """For each of these readers the sum over its chosen writers, of those written so far; None if there
        are none."""
        if not self.chosen[rows, :, : self.n].any():
            return None
        made = [
            self._added(part[: self.n], self.chosen[rows, :, : self.n, place])
            if self.few
            else self._multiplied(place, rows)
            for place, part in enumerate(self.parts)
        ]
        return made[0] if len(made) == 1 else torch.cat(made, 2)

    def _added(self, part: Values, chosen: Bool[np.ndarray, "reader circuit writer"]) -> Streams:
        if not part.shape[2:].numel():
            # A place that no token of these prompts is in.
            return part.new_zeros(*chosen.shape[:2], *part.shape[2:])
        _, circuits, writers = np.nonzero(chosen)
        counts = chosen.sum(-1).ravel()
        first = torch.from_numpy(np.cumsum(counts) - counts).to(part.device)
        at = torch.from_numpy(writers * self.n_circuits + circuits).to(part.device)
        found = embedding_bag(at, part.flatten(0, 1).flatten(1), first, mode="sum")
        return found.unflatten(0, chosen.shape[:2]).unflatten(2, part.shape[2:])

    def _multiplied(self, place: int, rows: Sequence[int]) -> Streams:
        ahead = self._ahead[place]
        if ahead is None or not {*rows} <= ahead.number.keys():
            # Readers are in the order in which they read.
            first = min(rows)
            coming = sorted({*rows, *range(first, min(first + _AHEAD, len(self.chosen)))})
            chosen = self.chosen[coming, :, : self.n, place]
            product = torch.bmm(*_operands(chosen, self.parts[place][: self.n]))
            number = {row: index for index, row in enumerate(coming)}
            ahead = self._ahead[place] = _Ahead(number, self.n, product)
        known = ahead.product[:, [ahead.number[row] for row in rows]]
        since = self.chosen[rows, :, ahead.n : self.n, place]
        if since.any():
            weights, part = _operands(since, self.parts[place][ahead.n : self.n])
            known.baddbmm_(weights, part)
        return known.transpose(0, 1).unflatten(2, self.parts[place].shape[2:])


class _Ahead:
    """The sums of some readers over the first `n` writers."""

    def __init__(
        self, number: dict[int, int], n: int, product: Float[Tensor, "circuit reader _"]
    ) -> None:
        self.number, self.n, self.product = number, n, product


def _operands(
    chosen: Bool[np.ndarray, "reader circuit writer"], part: Values
) -> tuple[Float[Tensor, "circuit reader writer"], Float[Tensor, "circuit writer _"]]:
    """What is multiplied for the sums of each circuit."""
    weights = torch.from_numpy(chosen).to(part).transpose(0, 1)
    return weights, part.flatten(2).transpose(0, 1)
