"""Where the nodes of a layered graph stand so that its edges cross little, and the way of every edge between.

Method  An edge that skips ranks gets a place of its own in each, so that it runs beside nodes and not behind
        them. The order in a rank is by barycentres, upwards and downwards in turn; the order with the fewest
        crossings is kept. Places are then the weighted means of their neighbours' as near as order and widths
        let them: a regression that keeps the order (pool adjacent violators). Nothing is drawn at random.
Source  Sugiyama et al. 1981, Methods for Visual Understanding of Hierarchical System Structures, IEEE SMC 11.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

# A node by its name, or the place that an edge (its number) takes in a rank that it passes.
Item: TypeAlias = str | tuple[int, int]
# What each item is tied to below and above, and how much each tie pulls.
Near: TypeAlias = Mapping[Item, tuple[list[tuple[Item, float]], list[tuple[Item, float]]]]

SWEEPS = 16
# How much an edge pulls beside what its weight adds, and how much more where it passes nodes by: there it
# should run straight.
PULL, BESIDE = 0.15, 6.0


@dataclass(frozen=True)
class Places:
    """Across: the middle of every node, where each edge passes the ranks between its ends, where each lane
    begins and ends; all from 0 to `width`."""

    nodes: Mapping[str, float]
    between: Sequence[Sequence[float]]
    lanes: Mapping[int, tuple[float, float]]
    width: float


def places(
    ranks: Mapping[str, int],
    edges: Sequence[tuple[str, str, float]],
    lanes: Mapping[str, int],
    width: float,
    beside: float,
) -> Places:
    """Nodes by the rank that each has, `width` apart; an edge (source, target, weight from 0 to 1) takes
    `beside` in each that it passes. Within a rank nodes of a lower lane stand further left."""
    rows: list[list[Item]] = [[] for _ in range(max(ranks.values()) + 1)]
    lane: dict[Item, int] = {}
    for name, rank in ranks.items():
        rows[rank].append(name)
        lane[name] = lanes[name]
    ways: list[list[Item]] = []
    for number, (source, target, _) in enumerate(edges):
        passed: list[Item] = [(number, r) for r in range(ranks[source] + 1, ranks[target])]
        for item, rank in zip(passed, range(ranks[source] + 1, ranks[target]), strict=True):
            rows[rank].append(item)
            lane[item] = lanes[source]
        ways.append([source, *passed, target])
    near: Near = {item: ([], []) for row in rows for item in row}
    for way, (*_, weight) in zip(ways, edges, strict=True):
        for one, other in pairwise(way):
            pull = (PULL + weight) * (BESIDE if isinstance(other, tuple) else 1)
            near[other][0].append((one, pull))
            near[one][1].append((other, pull))
    rows = _ordered([_strongest_inside(row, lane, near) for row in rows], lane, near)
    sizes = {item: beside if isinstance(item, tuple) else width for item in near}
    bounds = _lanes(rows, lane, sizes)
    x = _placed(rows, lane, near, sizes, bounds)
    if len(bounds) > 1:
        low, high = 0.0, bounds[max(bounds)][1]
    else:
        low = min(x[item] - sizes[item] / 2 for item in x)
        high = max(x[item] + sizes[item] / 2 for item in x)
    nodes = {name: x[name] - low for name in ranks}
    between = [[x[item] - low for item in way[1:-1]] for way in ways]
    return Places(nodes, between, bounds, high - low)


def _strongest_inside(row: list[Item], lane: Mapping[Item, int], near: Near) -> list[Item]:
    """The row, in each lane with what has the strongest edge in the middle: there it stays where other places
    are as good."""
    strength = {item: max([pull for side in near[item] for _, pull in side] or [0]) for item in row}
    found: list[Item] = []
    for each in sorted({lane[item] for item in row}):
        own = sorted((item for item in row if lane[item] == each), key=lambda item: -strength[item])
        found += [*own[1::2][::-1], *own[::2]]
    return found


def _ordered(
    rows: list[list[Item]],
    lane: Mapping[Item, int],
    near: Near,
) -> list[list[Item]]:
    best, least = rows, _crossings(rows, near)
    for sweep in range(SWEEPS):
        upwards = sweep % 2 == 0
        rows = list(rows)
        order = range(1, len(rows)) if upwards else range(len(rows) - 2, -1, -1)
        for rank in order:
            beside = rows[rank - 1 if upwards else rank + 1]
            at = {item: (place + 0.5) / len(beside) for place, item in enumerate(beside)}
            own = {item: (place + 0.5) / len(rows[rank]) for place, item in enumerate(rows[rank])}
            side = 0 if upwards else 1
            middle = {
                item: _mean([(at[each], 1.0) for each, _ in near[item][side]], own[item])
                for item in own
            }
            rows[rank] = sorted(rows[rank], key=lambda item: (lane[item], middle[item]))
        found = _crossings(rows, near)
        if found < least:
            best, least = rows, found
        if not least:
            break
    return best


def _mean(values: list[tuple[float, float]], otherwise: float) -> float:
    total = sum(pull for _, pull in values)
    return sum(value * pull for value, pull in values) / total if values else otherwise


def _crossings(rows: list[list[Item]], near: Near) -> int:
    """How many pairs of edges cross between neighbouring ranks."""
    found = 0
    for row, following in pairwise(rows):
        at = {item: place for place, item in enumerate(following)}
        seen: list[int] = []
        for item in row:
            ends = sorted(at[each] for each, _ in near[item][1])
            found += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return found


def _placed(
    rows: list[list[Item]],
    lane: Mapping[Item, int],
    near: Near,
    sizes: Mapping[Item, float],
    bounds: Mapping[int, tuple[float, float]],
) -> dict[Item, float]:
    x = {item: 0.0 for row in rows for item in row}
    for row in rows:
        _settle(row, [sum(bounds[lane[item]]) / 2 for item in row], [1.0] * len(row), x, sizes)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted, weights = [], []
            for item in row:
                pulls = [(x[each], pull) for side in near[item] for each, pull in side]
                wanted.append(_mean(pulls, x[item]))
                weights.append(sum(pull for _, pull in pulls) or PULL)
            _settle(row, wanted, weights, x, sizes)
            if len(bounds) > 1:
                for own in sorted({lane[item] for item in row}):
                    _clip([item for item in row if lane[item] == own], bounds[own], x, sizes)
    return x


def _lanes(
    rows: list[list[Item]], lane: Mapping[Item, int], sizes: Mapping[Item, float]
) -> dict[int, tuple[float, float]]:
    """Where each lane begins and ends: as wide as its fullest rank."""
    bounds, at = {}, 0.0
    for each in sorted(set(lane.values())):
        wide = max(sum(sizes[item] for item in row if lane[item] == each) for row in rows)
        bounds[each] = (at, at + wide)
        at += wide
    return bounds


def _clip(
    items: list[Item],
    bounds: tuple[float, float],
    x: dict[Item, float],
    sizes: Mapping[Item, float],
) -> None:
    """Moves the items of one lane into it, from either end."""
    edge = bounds[0]
    for item in items:
        x[item] = max(x[item], edge + sizes[item] / 2)
        edge = x[item] + sizes[item] / 2
    edge = bounds[1]
    for item in reversed(items):
        x[item] = min(x[item], edge - sizes[item] / 2)
        edge = x[item] - sizes[item] / 2


def _settle(
    row: Sequence[Item],
    wanted: Sequence[float],
    weights: Sequence[float],
    x: dict[Item, float],
    sizes: Mapping[Item, float],
) -> None:
    """Moves the items of a row as near to where they want to be as their order and sizes let them."""
    offsets, at = [], 0.0
    for place, item in enumerate(row):
        at += (sizes[row[place - 1]] + sizes[item]) / 2 if place else 0.0
        offsets.append(at)
    pools: list[tuple[float, float, int]] = []
    for want, offset, weight in zip(wanted, offsets, weights, strict=True):
        mean, total, size = want - offset, weight, 1
        while pools and pools[-1][0] > mean:
            other, more, count = pools.pop()
            mean = (mean * total + other * more) / (total + more)
            total, size = total + more, size + count
        pools.append((mean, total, size))
    level = [mean for mean, _, size in pools for _ in range(size)]
    for item, mean, offset in zip(row, level, offsets, strict=True):
        x[item] = mean + offset
