"""Random circuits that a found one has to beat: as many edges, spread over the layers' readers alike, and
every one on a path from the embedding to the logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from interp.circuits.graph import Graph, Mask
from interp.errors import NotApplicable

_TRIES = 200


def random_circuits(graph: Graph, kept: Mask, number: int, seed: int = 0) -> list[Mask]:
    """So many random connected circuits of the size of this one, no two the same and none the same as it.

    Edges are drawn anew within the layer and the kind of reader that they lead into, from the logits back,
    only into components that something chosen reads. What a layer's chosen components cannot take goes on
    to earlier ones, and what is read and reads nothing reads the embedding; edges in excess go, and edges
    that lack are drawn among the components that the circuit has. With a handful of edges the layers that
    they lead into are therefore others.

    Raises  NotApplicable where so many are not found.
    """
    graph.check_plain("random connected circuits")
    if kept.sum() == graph.n_edges:
        raise NotApplicable(
            "there is no other circuit of as many edges as the graph has; keep fewer"
        )
    random = np.random.default_rng(seed)
    found: dict[bytes, Mask] = {}
    for _ in range(_TRIES * number):
        if len(found) == number:
            break
        drawn = _drawn(graph, kept, random)
        if drawn.sum() == kept.sum() and (drawn != kept).any():
            found[drawn.tobytes()] = drawn
    if len(found) < number:
        raise NotApplicable(
            f"only {len(found)} of {number} different connected random circuits of {int(kept.sum())} edges "
            "were found; keep more edges, or fewer"
        )
    return list(found.values())


def likeness(graph: Graph, kept: Mask, drawn: Sequence[Mask]) -> pd.DataFrame:
    """same_inputs, the share of its edges that lead into the same layers' inputs as those of `kept`, and
    shared, the share that are edges of `kept`: one row a circuit. With a handful of edges same_inputs is
    small: what a layer's few chosen components cannot take goes to others."""
    groups = list(_groups(graph))
    wanted = np.array([kept[rows].sum() for rows in groups])
    found = []
    for mask in drawn:
        each = np.array([mask[rows].sum() for rows in groups])
        same = np.minimum(each, wanted).sum()
        size = max(1, int(mask.sum()))
        found.append((same / size, (mask & kept).sum() / size))
    return pd.DataFrame(found, columns=["same_inputs", "shared"])


def uniform_circuits(graph: Graph, n_edges: int, number: int, seed: int = 0) -> list[Mask]:
    """Circuits of so many edges drawn from all alike, as they come: few of them are connected."""
    random, allowed = np.random.default_rng(seed), np.flatnonzero(graph.allowed)
    masks = []
    for _ in range(number):
        mask = np.zeros(graph.allowed.size, dtype=bool)
        mask[random.choice(allowed, n_edges, replace=False)] = True
        masks.append(mask.reshape(graph.allowed.shape))
    return masks


def _drawn(graph: Graph, kept: Mask, random: np.random.Generator) -> Mask:
    """One draw, pruned of dead ends; of the size of `kept` if it came out."""
    mask = np.zeros_like(kept)
    wanted = np.zeros(len(graph.readers), dtype=bool)
    wanted[-1] = True
    left = 0
    for rows in _groups(graph):
        quota = int(kept[rows].sum()) + left
        live = rows[wanted[rows]]
        cells = np.argwhere(graph.allowed[live])
        take = min(quota, len(cells))
        left = quota - take
        if take:
            order = random.permutation(len(cells))
            chosen = cells[order[:take]]
            mask[live[chosen[:, 0]], chosen[:, 1]] = True
            for column in np.unique(chosen[:, 1]):
                wanted |= graph.feeds[:, column]
    # What is read and reads nothing is given the embedding.
    for column in range(1, len(graph.writers)):
        rows = np.flatnonzero(graph.feeds[:, column])
        if mask[:, column].any() and not mask[rows].any():
            mask[random.choice(rows), 0] = True
    return _topped_up(graph, mask, int(kept.sum()), random)


def _topped_up(graph: Graph, mask: Mask, n_edges: int, random: np.random.Generator) -> Mask:
    """The mask without its dead ends, with as many edges more among the components that it reaches, or
    fewer, as make the number."""
    pruned = graph.pruned(mask)
    for _ in range(_TRIES):
        short = n_edges - int(pruned.sum())
        if short == 0:
            return pruned
        if short < 0:
            cells = np.argwhere(pruned)
            mask = pruned.copy()
            drop = cells[random.permutation(len(cells))[: max(1, -short // 2)]]
            mask[drop[:, 0], drop[:, 1]] = False
        else:
            cells = np.argwhere(within(graph, pruned) & ~pruned)
            if not len(cells):
                cells = np.argwhere(graph.allowed & ~pruned)
            add = cells[random.permutation(len(cells))[:short]]
            mask = pruned.copy()
            mask[add[:, 0], add[:, 1]] = True
        pruned = graph.pruned(mask)
    return pruned


def within(graph: Graph, mask: Mask) -> Mask:
    """The edges from writers that are reached into readers that are read: with any of them none is dead."""
    reached = np.zeros(len(graph.writers), dtype=bool)
    reached[0] = True
    live = np.zeros(len(graph.readers), dtype=bool)
    live[-1] = True
    for column in range(len(graph.writers)):
        reached[column] |= bool((mask[graph.feeds[:, column]]).any())
        if mask[:, column].any():
            live |= graph.feeds[:, column]
    found: Mask = graph.allowed & reached & live[:, None]
    return found


def _groups(graph: Graph) -> Iterator[Int[np.ndarray, " reader"]]:
    """The rows of each kind of reader of each layer, from the last to the first."""
    keys = [(each.component.layer, each.input) for each in graph.readers]
    for key in reversed(list(dict.fromkeys(keys))):
        yield np.array([row for row, each in enumerate(keys) if each == key])
