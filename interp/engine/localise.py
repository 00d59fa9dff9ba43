"""The edits of a sweep: checked against the model and the prompts before anything runs, and as they apply to
some of the prompts, from some position on."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from interp.edits import Add, Call, Edit, Put, Where, Zero, edits_of
from interp.errors import UsageError
from interp.sites import Site, among
from interp.transformer import Config, Transformer
from interp.transformer.hooks import Hooks

Nested = tuple[tuple[int, ...], ...]
_POSITION_AXES = ("pos", "query")


def position_axis(site: Site) -> int | None:
    """Which axis of the site's activation counts the positions that a causal model fills in order."""
    found = [axis for axis, name in enumerate(site.axes) if name in _POSITION_AXES]
    return found[0] if found else None


def settled(edit: Edit, n_examples: int, n_pos: int) -> Edit:
    """The edit with every position counted from the first.

    Raises  UsageError for positions that no prompt has, or given for another number of prompts.
    """
    positions = edit.where.positions
    if positions is None:
        return edit
    nested = cast(Nested, positions) if given_apart(edit) else None
    if nested is not None and len(nested) != n_examples:
        raise UsageError(
            f"{edit}: positions are given for {len(nested)} prompts, the sweep has {n_examples}"
        )
    flat = [each for row in nested for each in row] if nested is not None else list(positions)
    if any(not -n_pos <= each < n_pos for each in flat):  # type: ignore[operator]
        raise UsageError(f"{edit}: positions must lie in 0…{n_pos - 1}, got {positions}")
    counted = torch.tensor(positions) % n_pos
    found = tuple(map(tuple, counted.tolist())) if nested is not None else tuple(counted.tolist())
    return replace(edit, where=replace(edit.where, positions=found))


def first_position(edit: Edit) -> int:
    """The earliest position that a settled edit touches."""
    positions = edit.where.positions
    if positions is None:
        return 0
    return min(min(row) if isinstance(row, tuple) else row for row in positions)


def given_apart(edit: Edit) -> bool:
    """Whether an edit names positions for each prompt apart."""
    positions = edit.where.positions
    return positions is not None and isinstance(positions[0], tuple)


def for_prompts(edit: Edit, prompts: slice) -> Edit:
    """The settled edit for these prompts alone; its value is a view."""
    where, value = edit.where, edit.value
    if not of_every_prompt(edit):
        tensor = cast(Put, value).tensor
        value = replace(cast(Put, value), tensor=tensor[prompts])
    if given_apart(edit):
        where = replace(where, positions=cast(Nested, where.positions)[prompts])
    return replace(edit, value=value, where=where)


def of_every_prompt(edit: Edit) -> bool:
    """Whether the edit's value, if it has one, is the same for all prompts."""
    tensor = getattr(edit.value, "tensor", None)
    if tensor is None:
        return True
    return edit.value.shared if isinstance(edit.value, Put) else tensor.ndim == 1


def localised(edits: Sequence[Edit], examples: Tensor, start: int) -> list[Edit]:
    """Settled edits for activations that hold only these prompts, and positions from `start` on.

    What they do before `start` is left out: there they change nothing.
    """
    found = (_localised(edit, examples, start) for edit in edits)
    return [edit for edit in found if edit.where.positions != ()]


def _localised(edit: Edit, examples: Tensor, start: int) -> Edit:
    where, value = edit.where, edit.value
    nested = given_apart(edit)
    flat = cast(tuple[int, ...], () if nested else where.positions or ())
    here: slice | Tensor = slice(start, None)
    if flat:
        kept = [at for at, each in enumerate(flat) if each >= start]
        here = torch.tensor(kept, dtype=torch.long)
    tensor = getattr(value, "tensor", None)
    if tensor is not None and not (isinstance(value, Add) and of_every_prompt(edit)):
        shared = isinstance(value, Put) and value.shared
        axis = position_axis(edit.site)
        if not shared:
            tensor = tensor[examples.to(tensor.device)]
        if not nested and axis is not None:
            tensor = tensor[(slice(None),) * (axis - shared) + (here,)]
        value = replace(cast(Put, value), tensor=tensor)
    positions = where.positions
    if nested:
        of_all = cast(Nested, where.positions)
        of_these = [of_all[each] for each in examples.tolist()]
        positions = tuple(tuple(each - start for each in row) for row in of_these)
    elif positions is not None:
        positions = tuple(each - start for each in flat if each >= start)
    return replace(edit, value=value, where=Where(where.heads, positions, where.units))


class RowHooks(Hooks):
    """Edits of several interventions in one batch: each is made in the rows of its own."""

    def __init__(self, edits: Sequence[tuple[slice, Edit]]) -> None:
        self._edits: dict[Site, list[tuple[slice, Edit]]] = {}
        for rows, edit in edits:
            self._edits.setdefault(edit.site, []).append((rows, edit))

    def wants(self, site: Site) -> bool:
        return site in self._edits

    edits = wants

    def __call__(self, site: Site, activation: Tensor) -> Tensor:
        if site not in self._edits:
            return activation
        activation = activation.clone()
        for rows, edit in self._edits[site]:
            activation[rows] = edit.apply(activation[rows])
        return activation


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
