"""How sweeps run inside a context: how much memory they may take, where they save what is done, and
whom they tell. A study says what to compute; whoever runs the study says how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from interp.errors import UsageError
from interp.transformer import Transformer
from interp.transformer.packing import bytes_to_pack, packed_weights, packing_within

if TYPE_CHECKING:
    from interp.engine.plan import Plan

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """`memory` is a budget in bytes above the model, packed weights included (None: a quarter of what
    is free, at most 2 GiB, and packed weights on top). `checkpoints` is a folder in which sweeps keep
    finished chunks. `progress` is called with work done, work in all, and a word. With `rehearsal`
    sweeps are planned but not run: each adds its plan to the list and gives zeros. To `notes` a sweep
    adds what a reader of its numbers must know."""

    memory: int | None = None
    checkpoints: Path | None = None
    progress: Progress | None = None
    rehearsal: list[Plan] | None = None
    notes: list[str] | None = None


def checked_bytes(asked: Any) -> int:
    """The same number, if it is one of bytes.

    Raises  UsageError for anything else.
    """
    whole = isinstance(asked, int) or (isinstance(asked, float) and asked.is_integer())
    if not whole or isinstance(asked, bool) or asked < 1:
        raise UsageError(f"memory must be a positive number of bytes, got {asked!r:.60}")
    return int(asked)


def share_of_packing(memory: int) -> int:
    """The most that packed copies of weights may take of a budget."""
    return memory // 2


_DEFAULT = Options()
_current: ContextVar[Options] = ContextVar("interp_engine_options")


def current() -> Options:
    """The options in force here."""
    return _current.get(_DEFAULT)


@contextmanager
def options(
    memory: int | None = None,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
    rehearsal: list[Plan] | None = None,
    notes: list[str] | None = None,
) -> Iterator[None]:
    """Sweeps inside this context run with these options; what is not given stays as it is outside.

    Raises  UsageError for a `memory` that is no positive number of bytes.
    """
    outside = current()
    packing: AbstractContextManager[None] = nullcontext()
    if memory is not None:
        # Whoever packs weights before a sweep does it out of the same budget.
        memory = checked_bytes(memory)
        packing = packing_within(share_of_packing(memory))
    token = _current.set(
        Options(
            outside.memory if memory is None else memory,
            outside.checkpoints if checkpoints is None else checkpoints,
            outside.progress if progress is None else progress,
            outside.rehearsal if rehearsal is None else rehearsal,
            outside.notes if notes is None else notes,
        )
    )
    try:
        with packing:
            yield
    finally:
        _current.reset(token)


_LARGEST_DEFAULT = 2 << 30


def memory_budget(asked: int | None) -> int:
    """Bytes that a sweep may take above the model: those asked for, or those of the options in force,
    or a quarter of what is free.

    Raises  UsageError for what is no positive number of bytes.
    """
    asked = current().memory if asked is None else asked
    if asked is None:
        free = psutil.virtual_memory().available // 4
        # A power of two, so that a sweep that goes on later is cut into chunks as it was before.
        return min(1 << (free.bit_length() - 1), _LARGEST_DEFAULT)
    return checked_bytes(asked)


@dataclass(frozen=True)
class Room:
    """Of `total` bytes, `held` go to packed copies of weights that are there already and `packing` to
    those that the sweep makes; prompts and interventions have the rest. Copies may take `most_packed`
    (None: whatever they take)."""

    total: int
    held: int
    packing: int
    most_packed: int | None

    @property
    def rest(self) -> int:
        return self.total - self.held - self.packing

    @property
    def requested(self) -> int | None:
        """The total, where somebody asked for it; copies have no bound where nobody did."""
        return None if self.most_packed is None else self.total


def room_for(model: Transformer, unembedding: bool, memory: int | None, others: int) -> Room:
    """How the budget is divided. Weights are packed if their copies fit in half of it and leave
    what `others` need; packed or not, effects agree to rounding.

    Without a budget they are packed, on top of what the default leaves for everything else.
    """
    total = memory_budget(memory)
    if memory is None and current().memory is None:
        packing = bytes_to_pack(model, unembedding)
        return Room(total + packing, 0, packing, None)
    half = share_of_packing(total)
    held = sum(packed_weights(model).values()) if memory is None else 0
    # More than half was not packed under this budget, but before it was set.
    held = held if held <= half else 0
    with packing_within(half):
        packing = bytes_to_pack(model, unembedding)
    if total - held - packing < others:
        return Room(total, held, 0, 0)
    return Room(total, held, packing, half)
