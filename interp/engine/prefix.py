"""What several prompts of one job begin with, so that it is computed for one of them.

Under an edit that does the same to all of them, prompts with the same first tokens stay the same up to
the first token that differs, in a causal model. Those rows run once, for a leader; the rows after
them attend to the leader's keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from interp.edits import Add, Edit, Put
from interp.engine.base import Base
from interp.engine.localise import given_apart

# Edits of keys, values, scores and patterns reach beyond the position at which they are made.
_OWN_POSITION = (
    *("resid_pre", "resid_mid", "resid_post", "z", "head_out", "attn_out"),
    *("mlp_pre", "gate", "mlp_pre_linear", "mlp_post", "mlp_out"),
)


@dataclass(frozen=True, eq=False)
class Prefix:
    """The positions before `stop` are computed for the prompts `leaders` alone; prompt number i of the
    job goes on after leader number `follows[i]`."""

    stop: int
    leaders: Int[Tensor, " group"]
    follows: Int[Tensor, " example"]

    def of(self, rows: Int[Tensor, " example"]) -> Prefix:
        """The same for these of the job's prompts alone."""
        kept, follows = self.follows[rows].unique(return_inverse=True)
        return Prefix(self.stop, self.leaders[kept], follows)


class Prefixes:
    """Finds what prompts have in common, for any choice of them."""

    def __init__(self, base: Base, causal: bool) -> None:
        self._base = base
        # Before what the metric reads, since what it reads has to be there for every prompt.
        readable = causal and bool(base.real.all())
        self._last = int(base.read.min()) if readable else 0
        self._known: dict[tuple[int, tuple[int, ...]], Prefix | None] = {}

    def find(
        self, start: int, examples: Int[Tensor, " example"], edits: Sequence[Edit]
    ) -> Prefix | None:
        """What these prompts share from `start` on under these edits; None if that saves nothing."""
        if any(edit.site.kind not in _OWN_POSITION or given_apart(edit) for edit in edits):
            return None
        known = (start, tuple(examples.tolist()))
        if known not in self._known:
            self._known[known] = self._longest(start, examples)
        found = self._known[known]
        if found is None or not all(_alike(edit, examples, found) for edit in edits):
            return None
        return found

    def _longest(self, start: int, examples: Int[Tensor, " example"]) -> Prefix | None:
        """The cut that leaves the fewest tokens to compute."""
        best, most_saved = None, 0
        for stop in range(start + 1, self._last + 1):
            _, follows = self._base.tokens[examples, :stop].unique(dim=0, return_inverse=True)
            n_leaders = int(follows.max()) + 1
            saved = (len(examples) - n_leaders) * (stop - start)
            if saved > most_saved:
                most_saved = saved
                first = [int((follows == each).nonzero()[0]) for each in range(n_leaders)]
                best = Prefix(stop, examples[torch.tensor(first, device=examples.device)], follows)
        return best


def _alike(edit: Edit, examples: Int[Tensor, " example"], shared: Prefix) -> bool:
    """Whether the edit does the same to every prompt as to its leader before `stop`."""
    tensor = getattr(edit.value, "tensor", None)
    if tensor is None or (isinstance(edit.value, Add) and tensor.ndim == 1):
        return True
    if isinstance(edit.value, Put) and edit.value.shared:
        return True
    if edit.where.positions is not None:
        return False
    own = tensor[examples.to(tensor.device), : shared.stop]
    led = tensor[shared.leaders[shared.follows].to(tensor.device), : shared.stop]
    return torch.equal(own, led)
