"""Interventions checked against the model and the prompts: now, and not when half of a sweep is done."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from interp.edits import Call, Edit, Zero, edits_of
from interp.engine.localise import for_prompts, settled
from interp.errors import UsageError
from interp.sites import among
from interp.transformer import Config, Transformer

Intervention = Edit | Sequence[Edit]


def interventions_of(given: Any) -> list[tuple[Edit, ...]]:
    """The edits of every intervention, which may be a single one; so may the whole be.

    Raises  UsageError for what is no edit.
    """
    if isinstance(given, Edit):
        return [(given,)]
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    return [edits_of(each) for each in several]


def plannable(edits: Sequence[Edit]) -> bool:
    """Whether the edits are data. A Python function runs one intervention at a time instead."""
    return not any(isinstance(edit.value, Call) for edit in edits)


class Checker:
    """Settles edits: positions are counted from the first, sites, places and values fit."""

    def __init__(self, model: Transformer, n_examples: int, n_pos: int) -> None:
        self.model, self.n_examples, self.n_pos = model, n_examples, n_pos
        self._sizes = sizes(model.config, n_pos)
        self._fitting: set[tuple[object, ...]] = set()

    def settled(self, edit: Edit) -> Edit:
        """The edit with every position counted from the first.

        Raises  UsageError for a site, a place or a value that this model and these prompts lack.
        """
        edit = settled(edit, self.n_examples, self.n_pos)
        among(edit.site, self.model.sites)
        tensor: Tensor | None = getattr(edit.value, "tensor", None)
        shape = None if tensor is None else tensor.shape
        alike = (edit.site.kind, edit.where, type(edit.value), shape)
        if alike not in self._fitting:
            # Of one prompt, since an activation of all of them may be large.
            axes = edit.site.axes
            one = torch.zeros(()).expand([1, *(self._sizes[axis] for axis in axes[1:])])
            part = one[for_prompts(replace(edit, value=Zero()), slice(0, 1)).index(one)]
            try:
                edit.value.check((self.n_examples, *part.shape[1:]), axes)
            except UsageError as error:
                raise UsageError(f"{edit}: {error}") from None
            self._fitting.add(alike)
        return edit


def sizes(config: Config, n_pos: int) -> dict[str, int]:
    """How long each axis of an activation is."""
    return {
        **{"pos": n_pos, "query": n_pos, "key": n_pos, "1": 1},
        **{"head": config.n_heads, "kv_head": config.n_kv_heads, "d_head": config.d_head},
        **{"d_model": config.d_model, "d_mlp": config.d_mlp, "d_vocab": config.d_vocab_out},
    }
