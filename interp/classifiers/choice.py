"""Do the heads that were chosen on other premises matter here too?

There are few pairs, so every premise is left out in turn: heads are chosen on the pairs of the other
premises, with the direction that their mean effect has there, and measured on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from interp import stats
from interp.errors import NotApplicable
from interp.stats import Estimate

Effects = Float[np.ndarray, "component example"]


@dataclass(frozen=True)
class Contest:
    """The mean effect on pairs that had no say: of the chosen heads, of random other heads of the
    same layers, and the difference; each counted in the direction that it had where it was chosen.
    `often` is how often each head was chosen, out of `rounds`."""

    chosen: Estimate
    controls: Estimate
    difference: Estimate
    often: Int[np.ndarray, " component"]
    rounds: int


def contest(
    effects: Effects,
    layers: Int[np.ndarray, " component"],
    clusters: Int[np.ndarray, " example"],
    top: int,
    seed: int = 0,
    draws: int = 4,
) -> Contest:
    """The `top` heads by magnitude of their mean effect on the other premises, against up to `draws`
    random others of each one's layer.

    Raises  NotApplicable for one premise, or where no layer has a head to compare with.
    """
    rounds: Sequence[int] = np.unique(clusters).tolist()
    if len(rounds) < 2:
        raise NotApplicable(
            "heads are chosen on some premises and measured on others; one is given"
        )
    random = np.random.default_rng(seed)
    ours, theirs = np.zeros(len(clusters)), np.zeros(len(clusters))
    often = np.zeros(len(effects), dtype=np.int64)
    for cluster in rounds:
        here = clusters == cluster
        means = effects[:, ~here].mean(-1)
        best = np.argsort(-np.abs(means), kind="stable")[:top]
        others = [np.setdiff1d(np.flatnonzero(layers == layers[head]), best) for head in best]
        peers = np.concatenate([random.permutation(rest)[:draws] for rest in others])
        if not len(peers):
            raise NotApplicable("every head of these layers is among the chosen; ask for fewer")
        often[best] += 1
        signed = effects * np.sign(means)[:, None]
        ours[here] = signed[best][:, here].mean(0)
        theirs[here] = signed[peers.astype(np.int64)][:, here].mean(0)
    return Contest(
        stats.mean(ours, clusters, seed=seed),
        stats.mean(theirs, clusters, seed=seed),
        stats.mean(ours - theirs, clusters, seed=seed),
        often,
        len(rounds),
    )
