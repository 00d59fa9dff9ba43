"""Edges removed one after the other by running the whole circuit once an edge: slow and obvious, what
`interp.circuits.acdc` has to agree with."""

from collections.abc import Callable, Sequence

import numpy as np

from interp.circuits.graph import Mask


def naive_acdc(
    allowed: Mask,
    rows: Sequence[int],
    tau: float,
    distance: Callable[[Mask], float],
    order: Callable[[int, Mask], list[int]],
) -> Mask:
    """The edges that are left when those into each of these rows were asked in turn: one goes if without it
    the distance grows by less than tau. `order` says in which order, given the circuit."""
    kept = allowed.copy()
    now = distance(kept)
    for row in rows:
        for column in order(row, kept):
            less = kept.copy()
            less[row, column] = False
            then = distance(less)
            if then - now < tau:
                kept, now = less, then
    return kept


def backwards(allowed: Mask) -> Callable[[int, Mask], list[int]]:
    """From the last writer to the first."""

    def order(row: int, kept: Mask) -> list[int]:
        return [int(column) for column in np.flatnonzero(allowed[row])[::-1]]

    return order
