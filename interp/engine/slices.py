"""Which prompts a sweep runs together, where memory does not hold the base run of all of them.

The base run of a slice is kept while its interventions run, and then goes. Of memory the base run of
a slice takes half at the most, so that the batches of interventions, which want the rest, stay tall.
"""

import math
from itertools import pairwise

from interp.engine.cost import Bytes
from interp.errors import UsageError


def cut(n_examples: int, room: int, needs: Bytes, best_rows: int) -> list[slice]:
    """The slices, equal in size to one prompt. Batches of more than `best_rows` rows do no good. There
    has to be room for `needs.least`."""
    room -= needs.fixed
    whole = n_examples * needs.held
    if whole + max(n_examples * needs.running, best_rows * needs.row) <= room:
        return [slice(0, n_examples)]
    most = min(
        room // (needs.held + needs.running),
        (room - needs.row) // needs.held,
        max(1, room // 2 // needs.held),
    )
    n_slices = math.ceil(n_examples / most)
    bounds = [n_examples * each // n_slices for each in range(n_slices + 1)]
    return [slice(*each) for each in pairwise(bounds)]


def check_room(room: int, least: int, what: str) -> None:
    """Raises a UsageError that names the least, where it is more than there is room for."""
    if least > room:
        raise UsageError(
            f"{what} needs at least {_megabytes(least)} of memory above the model, the budget is "
            f"{_megabytes(room)}; give memory={math.ceil(least / 2**20) * 2**20} or --memory "
            f"{math.ceil(least / 2**20)}M, or shorter prompts"
        )


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.3g} MiB"
