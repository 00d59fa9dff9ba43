"""Memory for large temporaries that is used again, instead of being mapped and cleared each time.

A batch makes and drops some twenty tensors of several megabytes a layer. The C library gives such
memory back to the system at once and asks for it anew, and every fresh page costs a fault and is
cleared by the kernel first: a fifth of a sweep's time. Inside `reused_memory` what was dropped stays
with the process; at the end all of it is given back.

What is kept lies in pieces, and a tensor that fits into none of them takes new memory: a sweep may come
to twice what it has in use. Under a budget that was asked for, large tensors are therefore mapped as
before, and only what is small beside the budget is kept.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
# What glibc comes to by itself in a process that drops large tensors.
_ADAPTED = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20, _MMAP_MAX: 65536}
_KEEPING = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}
# glibc takes no greater threshold.
_LARGEST_KEPT, _KEPT_SHARE = 32 << 20, 256


@cache
def _library() -> Any:
    """glibc, or None where the C library is another one: there nothing is changed."""
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):
        return None


def _keeping_within(budget: int) -> dict[int, int]:
    largest = min(budget // _KEPT_SHARE, _LARGEST_KEPT)
    return _ADAPTED | {_TRIM_THRESHOLD: _KEEPING[_TRIM_THRESHOLD], _MMAP_THRESHOLD: largest}


def give_back() -> None:
    """Gives back to the system what is free."""
    if library := _library():
        library.malloc_trim(0)


@contextmanager
def reused_memory(budget: int | None = None) -> Iterator[None]:
    """Inside, freed memory stays with the process and serves the next tensor; afterwards it is the
    system's again. Of a `budget` in bytes a tensor that is kept takes a small share. Numbers are the
    same."""
    library = _library()
    if library is None:
        yield
        return
    keeping = _KEEPING if budget is None else _keeping_within(budget)
    for option, value in keeping.items():
        library.mallopt(option, value)
    try:
        yield
    finally:
        for option, value in _ADAPTED.items():
            library.mallopt(option, value)
        give_back()
