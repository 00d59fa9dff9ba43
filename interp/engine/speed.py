"""How fast this machine runs a layer of this model, so that a plan can say how long a sweep takes.

A layer of the model itself runs on as many tokens as the sweep's batches have, some times in a row
when it is warm, and the median counts: what is measured is the rate at which long work goes on.
"""

import ctypes
import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from interp.engine.cost import flops_forward, flops_of_layer
from interp.engine.imagined import Forward
from interp.transformer import Transformer
from interp.transformer.packing import packed

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
    keeping = _KEEPING
    if budget is not None:
        largest = min(budget // _KEPT_SHARE, _LARGEST_KEPT)
        keeping = {**_ADAPTED, _TRIM_THRESHOLD: 2**31 - 1, _MMAP_THRESHOLD: largest}
    for option, value in keeping.items():
        library.mallopt(option, value)
    try:
        yield
    finally:
        for option, value in _ADAPTED.items():
            library.mallopt(option, value)
        give_back()


_REPEATS = 5
# Tokens at a time; more take no less each.
_TALLEST = 1024
# FLOPs a second of each model, by its batches: the machine is not tried out again for each sweep.
_Rates = dict[tuple[object, ...], float]
_known: WeakKeyDictionary[nn.Module, _Rates] = WeakKeyDictionary()


def seconds_of(model: Transformer, flops: float, n_tokens: int, n_pos: int, packing: bool) -> float:
    """About how long so many FLOPs take in batches of so many tokens, in prompts of `n_pos`."""
    if not flops:
        return 0.0
    # To a power of four: what a token takes changes little with how many there are.
    height = min(4 ** round(math.log(max(1, n_tokens), 4)), _TALLEST)
    # What attention adds to a token changes with the number of them only in long prompts.
    length = max(16, 1 << (n_pos - 1).bit_length())
    alike = (height, length, packing, torch.get_num_threads())
    # A rehearsal's model is another object, of the same modules.
    rates = _known.setdefault(model.embed, {})
    if alike not in rates:
        rates[alike] = _rate(
            model, max(1, height // length), min(length, model.config.n_ctx), packing
        )
    return flops / rates[alike]


def seconds_of_forward(model: Transformer, forward: Forward) -> float:
    """About how long this forward pass takes."""
    n_examples, n_pos = forward.n_examples, forward.n_pos
    flops = flops_forward(model.config, n_examples, n_pos, forward.n_read)
    return seconds_of(model, flops, n_examples * n_pos, n_pos, packing=True)


@torch.no_grad()
def _rate(model: Transformer, n_rows: int, n_pos: int, packing: bool) -> float:
    config = model.config
    block = model.block(config.n_layers // 2)
    generator = torch.Generator().manual_seed(0)
    resid = torch.randn(n_rows, n_pos, config.d_model, generator=generator)
    resid = resid.to(model.device, model.dtype)
    real = torch.ones(1, n_pos, dtype=torch.bool, device=model.device)
    around = model.surroundings(real, resid)
    took = []
    with packed(block) if packing else nullcontext(), reused_memory():
        for _ in range(1 + _REPEATS):
            began = time.perf_counter()
            block(resid, around.mask(block.layer), around.rotary)
            if model.device.type == "cuda":
                torch.cuda.synchronize()
            took.append(time.perf_counter() - began)
    return flops_of_layer(config, n_rows, n_pos) / statistics.median(took[1:])
