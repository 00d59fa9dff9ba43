"""What a head is called in the literature, where a written rule says so; without a name it has its numbers.

A rule asks for three things: where the head attends, what it writes, and what an intervention on held-out
prompts does. `RULES` has their words; they read `heads`, `composed`, ablation and path patching.
An intervention counts where its whole interval has the right sign and its mean is a hundredth of the metric
or more. Later names rest on earlier ones: name movers, then what changes their queries (S-inhibition), then
what the values of these read (duplicate token); induction heads, then what their keys read (previous token).

Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593; Olsson et al. 2022, In-context
        Learning and Induction Heads, arXiv:2209.11895; McDougall et al. 2023, Copy Suppression,
        arXiv:2310.04625.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from interp import components, stats
from interp.circuits.composed import Into, composed
from interp.circuits.heads import heads as measured
from interp.components import Head
from interp.methods.ablate import ablate
from interp.methods.paths import paths
from interp.methods.propagation import Receiver
from interp.stats import Estimate
from interp.tasks import Task
from interp.transformer import Transformer

# A quarter of the attention; of scores over the vocabulary two standard deviations; of what is read a
# twentieth; and of the metric a hundredth.
ATTENDS, COPIES, SHARE, LEAST = 0.25, 2.0, 0.05, 0.01
# Of heads of one name so many, those with the largest effects, are asked what they read.
READ = 4
RULES = {
    "name mover": (
        "attends from END to the answer, more than to the wrong one, where another token than that at END "
        "stands before it",
        "raises what stands there by 2 sd of the vocabulary",
        "its own write without the answer's prompt lowers answer minus wrong",
    ),
    "negative name mover": (
        "attends as a name mover does",
        "lowers what stands there by 2 sd of the vocabulary",
        "its own write without the answer's prompt raises answer minus wrong",
    ),
    "S-inhibition": (
        "attends from END to the last place of the wrong answer, more than to the answer",
        "has a twentieth of what makes name movers score the answer above the wrong one",
        "its path into the queries of name movers lowers answer minus wrong when patched",
    ),
    "duplicate token": (
        "attends from a token to where it came before, in these prompts and among random tokens",
        "has a twentieth of the values that S-inhibition heads read",
        "its path into the values of S-inhibition heads lowers answer minus wrong when patched",
    ),
    "induction": (
        "attends from a token to the one after its earlier place, in these prompts and among random tokens",
        "raises what stands where the answer stands by 2 sd of the vocabulary, or has a twentieth of the "
        "values that S-inhibition heads read",
        "its ablation lowers answer minus wrong",
    ),
    "previous token": (
        "attends to the token before, in these prompts and among random tokens",
        "has a twentieth of what makes induction heads score their key above others",
        "its path into the keys of induction heads lowers answer minus wrong when patched",
    ),
}
Which = Bool[np.ndarray, " component"]


@dataclass(frozen=True, eq=False)
class Roles:
    """The heads, their numbers as columns of `frame` (component, role, attends_to, attention, then what rules
    ask), and which of the three things each rule finds of each head, `[name] = [thing head]`."""

    heads: tuple[Head, ...]
    frame: pd.DataFrame
    found: dict[str, Bool[np.ndarray, "label component"]]

    @property
    def names(self) -> list[str]:
        """Each head's name, the first of which the rule finds all three; empty without one."""
        return named(self.found, len(self.heads))


def named(found: dict[str, Bool[np.ndarray, "label component"]], n: int) -> list[str]:
    """For each of n heads the first rule that finds all three things of it; empty without one."""
    each = [[name for name, things in found.items() if things[:, row].all()] for row in range(n)]
    return [names[0] if names else "" for names in each]


def attends(score: Mapping[str, Float[np.ndarray, " component"]]) -> dict[str, Which]:
    """Whether each head attends as the rule of each name asks, by its `heads.Heads.scores`."""
    answer, wrong = score["to_answer"], score["to_wrong"]
    mover = (answer >= ATTENDS) & (answer > wrong)
    repeats, follows, before = (
        (score[name] >= ATTENDS) & (score[f"random_{name}"] >= ATTENDS)
        for name in ("duplicate_token", "induction", "previous_token")
    )
    return {
        "name mover": mover,
        "negative name mover": mover,
        "S-inhibition": (wrong >= ATTENDS) & (wrong > answer),
        "duplicate token": repeats,
        "induction": follows,
        "previous token": before,
    }


def roles(
    model: Transformer,
    task: Task,
    heads: Sequence[Head],
    *,
    fresh: Task | None = None,
    every: bool = False,
    seed: int = 0,
) -> Roles:
    """What these heads are called for what they do on this task: attention and writing are measured on its
    prompts, interventions on `fresh` ones, by default those of its confirmation. With `every` the
    interventions of all rules are made on all heads, otherwise path patching on those that attend and write
    alone.

    Raises  NotApplicable where there are too few held-out prompts, and for a model that writes other tokens
            than it reads.
    """
    if not heads:
        return Roles((), pd.DataFrame(), {name: np.zeros((3, 0), dtype=bool) for name in RULES})
    return _Naming(
        model, task, heads, task.confirmation if fresh is None else fresh, every, seed
    ).all()


class _Naming:
    """One pass through the rules, in the order in which they rest on each other."""

    def __init__(
        self,
        model: Transformer,
        task: Task,
        heads: Sequence[Head],
        fresh: Task,
        every: bool,
        seed: int,
    ) -> None:
        self.model, self.task, self.heads, self.fresh = model, task, heads, fresh
        self.every, self.seed = every, seed
        self.rows = [components.heads(model).index(each) for each in heads]
        self.numbers = measured(model, task, seed)
        self.score = {name: each[self.rows] for name, each in self.numbers.scores.items()}
        removed = ablate(model, self.fresh, heads, ["resample"])
        self.total = removed.effects["resample"].interval(seed)
        self.direct = removed.direct["resample"].interval(seed)
        self.least = LEAST * abs(float(removed.clean.mean()))
        self.read: dict[str, Float[np.ndarray, "label component"]] = {}
        self.found: dict[str, Bool[np.ndarray, "label component"]] = {}

    def all(self) -> Roles:
        where, copying = attends(self.score), self.score["copying"]
        for name, sign, acts in (
            ("name mover", 1, self._lowers(self.direct)),
            ("negative name mover", -1, self._raises(self.direct)),
        ):
            self._add(name, where[name], sign * copying >= COPIES, acts)
        movers = self._called("name mover", self.direct)
        self._through("S-inhibition", where["S-inhibition"], movers, "q")
        inhibiting = self._called("S-inhibition", self.total)
        self._through("duplicate token", where["duplicate token"], inhibiting, "v")
        follows, copies = where["induction"], copying >= COPIES
        if inhibiting and (asked := np.flatnonzero((follows | self.every) & ~copies)).size:
            copies[asked] = self._share(self._some(asked), inhibiting, "v") >= SHARE
        self._add("induction", follows, copies, self._lowers(self.total))
        inducing = self._called("induction", self.total)
        self._through("previous token", where["previous token"], inducing, "k")
        return Roles(tuple(self.heads), self._frame(), self.found)

    def _add(self, name: str, attends: Which, writes: Which, acts: Which) -> None:
        self.found[name] = np.stack([attends, writes, acts])

    def _lowers(self, effect: Estimate) -> Which:
        return (effect.high < 0) & (effect.value <= -self.least)

    def _raises(self, effect: Estimate) -> Which:
        return (effect.low > 0) & (effect.value >= self.least)

    def _called(self, name: str, effect: Estimate) -> list[Head]:
        """The heads of this name that do most."""
        order = np.argsort(effect.value)
        return [self.heads[row] for row in order if self.found[name][:, row].all()][:READ]

    def _through(self, name: str, attends: Which, later: list[Head], into: Into) -> None:
        """A rule for heads that act through what these later heads read."""
        n = len(self.heads)
        acts, read = np.zeros(n, dtype=bool), np.full((len(_COLUMNS), n), np.nan)
        if later and (asked := np.flatnonzero(attends | self.every)).size:
            read[0, asked] = self._share(self._some(asked), later, into)
        writes = read[0] >= SHARE
        if later and (asked := np.flatnonzero(attends & writes | self.every)).size:
            effect = self._paths(self._some(asked), later, into)
            read[1:, asked] = effect.value, effect.low, effect.high
            acts[asked] = self._lowers(effect)
        self.read[name] = read
        self._add(name, attends, writes, acts)

    def _share(
        self, senders: list[Head], later: list[Head], into: Into
    ) -> Float[np.ndarray, " component"]:
        return composed(self.model, self.task, senders, later, into)

    def _some(self, rows: Int[np.ndarray, " label"]) -> list[Head]:
        return [self.heads[row] for row in rows]

    def _paths(self, senders: list[Head], later: list[Head], into: Into) -> Estimate:
        """What the paths into these heads do, added up."""
        at = "END" if into == "q" else None
        receivers = [Receiver(each, into, at) for each in later]
        done = paths(self.model, self.fresh, senders, receivers).effects.values
        values = done.reshape(len(receivers), len(senders), -1).sum(0)
        return stats.mean(values, self.fresh.clusters, self.fresh.items, seed=self.seed)

    def _through_what(self, names: list[str]) -> dict[str, np.ndarray]:
        """`_COLUMNS` by the rule that names a head, or by the first that asked for them."""
        rules = list(self.read)
        values = np.stack([self.read[name] for name in rules])
        first = np.isfinite(values[:, 0]).argmax(0)
        rule = [
            rules.index(name) if name in rules else at
            for name, at in zip(names, first, strict=True)
        ]
        picked = values[rule, :, range(len(names))].T
        return dict(zip(_COLUMNS, picked, strict=True))

    def _frame(self) -> pd.DataFrame:
        names = named(self.found, len(self.heads))
        most = [self.numbers.most(row) for row in self.rows]
        effects = {"effect": self.total, "direct": self.direct}
        ends = {
            f"{name}{end}": values
            for name, each in effects.items()
            for end, values in (("", each.value), ("_low", each.low), ("_high", each.high))
        }
        return pd.DataFrame(
            {
                "component": [str(each) for each in self.heads],
                "role": names,
                "attends_to": [name for name, _ in most],
                "attention": [share for _, share in most],
                **self.score,
                **ends,
                **self._through_what(names),
            }
        )


_COLUMNS = ("share", "path", "path_low", "path_high")
