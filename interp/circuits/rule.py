"""The rule by which a circuit is judged, from its faithfulness and how far it is ahead of random circuits.

A random circuit is behind where the interval of the difference, paired prompt by prompt and over templates,
lies above zero; all others reach it. The circuit's p is (1 + those that reach it) / (1 + random circuits).

- *Supported*: p is at most .025 (of 39 random circuits none may reach it, of 999 twenty-four may, so that
  more of them make the rule no stricter), and the interval of its faithfulness lies within
  [floor, 2 - floor].
- *Not supported*: p is at most .025, so that there is something to speak of, and the interval lies outside.
- *Inconclusive*: the interval crosses a bound; or the circuit cannot be told from random ones, whatever it
  does: then nothing was found, which does not show that there is nothing.

Null        The circuit is one of its random circuits: p is then at most .025 no more than 1 time in 40.
Population  Prompts like the held-out ones, of templates like theirs.
Power       An interval shorter than the bounds are apart: its length is on the page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from interp.stats import Estimate
from interp.stats.selection import EXTREME
from interp.stats.verdict import LEAST_CONFIRMING, Verdict


def rank(ahead: Float[np.ndarray, " draw"]) -> float:
    """p, from the lower ends of the intervals of what a circuit does more than each random one."""
    return float((1 + (~(ahead > 0)).sum()) / (1 + len(ahead)))


@dataclass(frozen=True)
class Ruling:
    """The verdict, and what it came from, as a clause."""

    verdict: Verdict
    why: str


def decide(share: Estimate, ahead: Float[np.ndarray, " draw"], floor: float) -> Ruling:
    """What the rule says of a circuit of this faithfulness; `ahead` as in `rank`."""
    low, high, p = float(share.low), float(share.high), rank(ahead)
    bounds = f"[{floor:g}, {2 - floor:g}]"
    if share.clusters < LEAST_CONFIRMING:
        few = f"{share.clusters} held-out templates are too few, {LEAST_CONFIRMING} are needed"
        return Ruling("inconclusive", few)
    if not low <= high:
        return Ruling("inconclusive", f"faithfulness has no interval: {share.method}")
    reach = int((~(ahead > 0)).sum())
    if p > EXTREME:
        return Ruling(
            "inconclusive",
            f"{reach} of {len(ahead)} random circuits as large cannot be told from it or do more",
        )
    if high < floor or low > 2 - floor:
        side = "below" if high < floor else "above"
        return Ruling("not supported", f"the interval of its faithfulness lies {side} {bounds}")
    if floor <= low and high <= 2 - floor:
        return Ruling(
            "supported",
            f"the interval of its faithfulness lies within {bounds}, and {len(ahead) - reach} of "
            f"{len(ahead)} random circuits as large do surely less",
        )
    return Ruling("inconclusive", f"the interval of its faithfulness crosses a bound of {bounds}")
