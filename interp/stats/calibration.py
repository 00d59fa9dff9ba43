"""How often a verdict comes out where nothing is there to find, and where something was planted.

A study's effects on real prompts are stored for *all* components, on the screen and on the fresh prompts.
Its choice and its verdict are then made again and again from them, under a null:

- `random choice`: the real effects, and as many components of the same layers picked at random;
- `permuted labels`: which component did what is drawn anew for every template, within its layer;
- `answers by prompt`, `answers by template`: right and wrong answer change places at random, for every
  prompt by itself or for whole templates;

and with effects of so many between-template standard deviations planted into components picked at
random. What they are planted on is noise as the study meets it: the real effects, and those of their
directional controls, each component's own mean taken from them, their deviations kept and turned round
for whole templates at random. The standard deviation is that of the components which the study would
choose from this noise: effects have heavy tails (of thousands of neurons a few are loud), and what is
smaller than the loud ones' noise is not chosen, nor asked for.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from interp.stats.effects import Clusters, cluster_means
from interp.stats.selection import directions, rank_among_random
from interp.stats.verdict import LEAST_CONFIRMING, confirm, decide

# Sets that a choice ranks among: fewer than a study draws, for speed, and enough for one in forty.
DRAWS = 199
Outcome = str
NOT_RUN = "not run"


@dataclass(frozen=True)
class Stored:
    """The effects of all components on the screen and on the fresh prompts, and of their directional
    controls there. `chooser` are what the study chooses by, where that is not what it measures; `upwards`
    says that effects count in one direction alone. `top` components are chosen."""

    screen: Float[np.ndarray, "component example"]
    discovery: Bool[np.ndarray, " example"]
    clusters: Clusters
    fresh: Float[np.ndarray, "component label"]
    controls: Mapping[str, Float[np.ndarray, "component label"]]
    fresh_clusters: Int[np.ndarray, " label"]
    fresh_items: Int[np.ndarray, " label"] | None
    strata: Int[np.ndarray, " component"]
    top: int
    chooser: Float[np.ndarray, "component example"] | None = None
    upwards: bool = False

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The effects that verdicts are made from."""
        return self.screen, self.fresh, *self.controls.values()

    def choice(self) -> Int[np.ndarray, " label"]:
        """The components that the study chooses."""
        by = self.screen if self.chooser is None else self.chooser
        means = cluster_means(by[:, self.discovery], self.clusters[self.discovery]).mean(-1)
        return np.argsort(-np.abs(means), kind="stable")[: min(self.top, len(means))]

    def verdict(self, chosen: Int[np.ndarray, " label"], seed: int) -> Outcome:
        """What the study says of these components; NOT_RUN where there are too few of them to rank."""
        effects = self.screen
        if self.upwards:
            effects = np.where(self.discovery, 1.0, effects)
        ranking = rank_among_random(
            effects, self.discovery, chosen, self.strata, self.clusters, draws=DRAWS, seed=seed
        )
        if not ranking.ran or len(np.unique(self.fresh_clusters)) < LEAST_CONFIRMING:
            return NOT_RUN
        signs = directions(effects, self.discovery, self.clusters)[chosen]
        controls = {name: each[chosen] for name, each in self.controls.items()}
        found = confirm(
            self.fresh[chosen], signs, controls, self.fresh_clusters, self.fresh_items, seed=seed
        )
        return decide(ranking, found)


def random_choice(stored: Stored, random: np.random.Generator) -> Outcome:
    """The real effects, and a choice at random."""
    chosen = [
        random.choice(np.flatnonzero(stored.strata == each), k, replace=False)
        for each, k in zip(
            *np.unique(stored.strata[stored.choice()], return_counts=True), strict=True
        )
    ]
    return stored.verdict(np.concatenate(chosen), _seed(random))


def permuted_labels(stored: Stored, random: np.random.Generator) -> Outcome:
    """Components drawn anew within their layer for every template."""
    other = _permuted(stored, random)
    return other.verdict(other.choice(), _seed(random))


def planted(size: float) -> Callable[[Stored, np.random.Generator], Outcome]:
    """Noise, and in components picked at random effects of so many of its standard deviations between
    templates (root mean square over the components that would be chosen from it)."""

    def verdict(stored: Stored, random: np.random.Generator) -> Outcome:
        other = _noise(stored, random)
        chosen = _by_template(other)[other.choice()]
        deviation = float(np.sqrt(chosen.var(-1, ddof=1).mean()))
        rows = random.permutation(len(other.screen))[: min(other.top, len(other.screen))]
        signs = np.ones(len(rows)) if other.upwards else random.choice([-1.0, 1.0], len(rows))
        screen, fresh = other.screen.copy(), other.fresh.copy()
        screen[rows] += size * deviation * signs[:, None]
        fresh[rows] += size * deviation * signs[:, None]
        chooser = other.chooser
        if chooser is not None:
            chooser = chooser.copy()
            chooser[rows] = np.sign(chooser[rows]) * (np.abs(chooser).max() + np.abs(chooser[rows]))
        other = replace(other, screen=screen, fresh=fresh, chooser=chooser)
        return other.verdict(other.choice(), _seed(random))

    return verdict


def outcomes(
    make: Callable[[Any, np.random.Generator], Outcome],
    stored: Any,
    first: int,
    last: int,
    seed: int,
) -> Counter[Outcome]:
    """How often each verdict came out in repeats number `first` to `last`, each with chances of its
    own: what several calls find adds up to what one finds."""
    return Counter(make(stored, np.random.default_rng([seed, each])) for each in range(first, last))


def _permuted(stored: Stored, random: np.random.Generator) -> Stored:
    order = _within(stored.strata, len(np.unique(stored.clusters)), random)
    later = _within(stored.strata, len(np.unique(stored.fresh_clusters)), random)
    here = order[:, np.unique(stored.clusters, return_inverse=True)[1]]
    there = later[:, np.unique(stored.fresh_clusters, return_inverse=True)[1]]
    return replace(
        stored,
        screen=np.take_along_axis(stored.screen, here, 0),
        fresh=np.take_along_axis(stored.fresh, there, 0),
        controls={
            name: np.take_along_axis(each, there, 0) for name, each in stored.controls.items()
        },
        chooser=None if stored.chooser is None else np.take_along_axis(stored.chooser, here, 0),
    )


def _within(strata: np.ndarray, templates: int, random: np.random.Generator) -> np.ndarray:
    """For every template which component each one's effects are taken from, of the same stratum."""
    keys = random.random((len(strata), templates))
    places = np.argsort(strata, kind="stable")
    order = np.argsort(np.searchsorted(np.unique(strata), strata)[:, None] + keys, axis=0)
    found = np.empty_like(order)
    found[places] = order
    return found


def _noise(stored: Stored, random: np.random.Generator) -> Stored:
    """Every component's deviations from its own mean, and every control's from its own, all turned round
    together for whole templates at random."""
    own = _by_template(stored).mean(-1, keepdims=True)
    here, there = _turns(stored.clusters, random), _turns(stored.fresh_clusters, random)

    def alone(control: np.ndarray) -> np.ndarray:
        return control - cluster_means(control, stored.fresh_clusters).mean(-1, keepdims=True)

    return replace(
        stored,
        screen=(stored.screen - own) * here,
        fresh=(stored.fresh - own) * there,
        controls={name: alone(each) * there for name, each in stored.controls.items()},
    )


def _by_template(stored: Stored) -> Float[np.ndarray, "component label"]:
    """The means of every template, of the screen's and of the fresh ones."""
    here = cluster_means(stored.screen, stored.clusters)
    there = cluster_means(stored.fresh, stored.fresh_clusters)
    return np.concatenate([here, there], axis=1)


def _turns(clusters: Clusters, random: np.random.Generator) -> Float[np.ndarray, " example"]:
    """1 or -1 for every example, the same within a cluster."""
    groups = np.unique(clusters, return_inverse=True)[1]
    drawn: np.ndarray = random.choice([-1.0, 1.0], int(groups.max()) + 1)[groups]
    return drawn


def answers(stored: Stored, random: np.random.Generator, *, by_template: bool) -> Outcome:
    """Right and wrong answer in either order, prompt by prompt or the same for all of a template."""

    def groups(clusters: Clusters) -> Clusters:
        return clusters if by_template else np.arange(len(clusters))

    here = _turns(groups(stored.clusters), random)
    there = _turns(groups(stored.fresh_clusters), random)
    # What has one direction alone does not know the answer; only what chooses may.
    screen = stored.screen if stored.upwards else stored.screen * here
    other = replace(
        stored,
        screen=screen,
        fresh=stored.fresh if stored.upwards else stored.fresh * there,
        controls=dict(stored.controls)
        if stored.upwards
        else {name: each * there for name, each in stored.controls.items()},
        chooser=None if stored.chooser is None else stored.chooser * here,
    )
    return other.verdict(other.choice(), _seed(random))


NULLS: dict[str, Callable[[Stored, np.random.Generator], Outcome]] = {
    "random choice": random_choice,
    "permuted labels": permuted_labels,
    "answers by prompt": partial(answers, by_template=False),
    "answers by template": partial(answers, by_template=True),
}
PLANTED = {f"planted {size:g} sd": planted(size) for size in (0.5, 1.0, 2.0)}


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(2**31))
