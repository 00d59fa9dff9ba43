"""How much memory a sweep may take above the model, packed weights included."""

from dataclasses import dataclass

import psutil

from interp.engine.options import checked_bytes, current, share_of_packing
from interp.transformer import Transformer
from interp.transformer.packing import bytes_to_pack, packed_weights, packing_within

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
