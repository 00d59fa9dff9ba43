"""How sweeps run inside a context: how much memory they may take, where they save what is done, and
whom they tell. A study says what to compute; whoever runs the study says how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.errors import UsageError
from interp.transformer.packing import packing_within

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
