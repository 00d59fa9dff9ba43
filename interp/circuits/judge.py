"""Does a circuit suffice? It is run on prompts that chose nothing, beside its complement and random circuits.

The rule is `interp.circuits.rule`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.circuits.controls import likeness, random_circuits
from interp.circuits.curve import Points, Ranking, areas
from interp.circuits.evaluate import Evaluation, evaluate
from interp.circuits.graph import Graph, Mask
from interp.circuits.rule import Ruling, decide, rank
from interp.circuits.run import BLOCK
from interp.circuits.search import Found
from interp.errors import NotApplicable
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import logit_difference
from interp.stats import Estimate
from interp.stats.verdict import Verdict
from interp.tasks import Task
from interp.transformer import Transformer

# Random circuits of a size of the curve; those that the verdict rests on are more.
OF_A_SIZE = 10
# A circuit and its complement come first.
_OWN = 2
_OTHERS = slice(_OWN, None)


@dataclass(frozen=True, eq=False)
class Judged:
    """The chosen circuit, its complement and random circuits of its size as `evaluated` on prompts that
    chose nothing, and after these the circuits `beside` it, by name; `alike` says how like it the random and
    these are. A row for every size in `curve`, those ranked
    by magnitude in `by_magnitude`, and the `areas` under both. `largest_error` is how far the full circuit
    is from the whole model."""

    evaluated: Evaluation
    alike: pd.DataFrame
    curve: pd.DataFrame
    by_magnitude: pd.DataFrame
    areas: pd.DataFrame
    floor: float
    largest_error: float
    beside: Sequence[str] = ()
    seed: int = 0

    @property
    def task(self) -> Task:
        """The prompts that it was judged on."""
        return self.evaluated.task

    @cached_property
    def share(self) -> Estimate:
        """The circuit's faithfulness."""
        found = self.evaluated.of([0]).faithfulness(self.seed)
        value, low, high = (np.asarray(each[0]) for each in (found.value, found.low, found.high))
        return Estimate(value, low, high, found.n, found.clusters, found.method)

    @cached_property
    def random(self) -> Float[np.ndarray, " draw"]:
        """The faithfulness of the random circuits."""
        found: np.ndarray = self.evaluated.of(self._random).faithfulness(self.seed).value
        return found

    @property
    def _random(self) -> slice:
        return slice(_OWN, len(self.evaluated.metric) - len(self.beside))

    @cached_property
    def ahead(self) -> Estimate:
        """By what share the circuit does more than each random one."""
        return self._ahead(self._random)

    def _ahead(self, others: slice) -> Estimate:
        rows = range(len(self.evaluated.metric))[others]
        return self.evaluated.of([0, *rows]).ahead(self.seed)

    @property
    def p(self) -> float:
        """Of the circuit's rank among the random ones."""
        return rank(self.ahead.low)

    @cached_property
    def ruling(self) -> Ruling:
        """What the rule says, and why."""
        return decide(self.share, self.ahead.low, self.floor)

    @property
    def verdict(self) -> Verdict:
        """What the rule says."""
        return self.ruling.verdict

    def controls(self) -> pd.DataFrame:
        """control, faithfulness, ci_low, ci_high, kl, agreement and n of each random circuit and of those
        beside it, the largest first; ahead and ahead_low, by how much the chosen one does more and the lower
        end of that interval; same_inputs and shared as `likeness` says."""
        frame, ahead = self.evaluated.of(_OTHERS).frame(self.seed), self._ahead(_OTHERS)
        frame.insert(0, "control", ["random circuit"] * len(self.random) + [*self.beside])
        frame = frame.assign(ahead=ahead.value, ahead_low=ahead.low).join(self.alike)
        return frame.sort_values("faithfulness", ascending=False, kind="stable", ignore_index=True)

    def shares(self) -> pd.DataFrame:
        """what, variant, faithfulness, ci_low, ci_high, kl, agreement and n of the circuit, of its complement
        and of the empty circuit, on all prompts (no variant) and on those of each variant."""
        parts = {"": self.evaluated}
        variants = self.evaluated.by_variant()
        parts |= variants if len(variants) > 1 else {}
        found = []
        for name, part in parts.items():
            frame = part.of(slice(_OWN)).with_the_empty().frame(self.seed)
            frame.insert(0, "what", ["circuit", "complement", "empty circuit"])
            frame.insert(1, "variant", name)
            found.append(frame)
        return pd.concat(found, ignore_index=True)


def judge(
    model: Transformer,
    graph: Graph,
    fresh: Task,
    found: Found,
    floor: float,
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    controls: int = 39,
    of_a_size: int = OF_A_SIZE,
    curve_on: Task | None = None,
    beside: Mapping[str, Mask] | None = None,
    memory: int = BLOCK,
    seed: int = 0,
) -> Judged:
    """The circuit that was found, and every size, on prompts that chose nothing. Sizes are run on the
    prompts of `curve_on`, by default on the same: then the whole model and the empty circuit run once. Other
    circuits `beside` it are run and shown, and the rule does not count them.

    Raises  NotApplicable where there are not so many random circuits of its size.
    """

    def run(task: Task, masks: Sequence[Mask]) -> Evaluation:
        done = evaluate(model, graph, task, masks, ablation, metric=metric, memory=memory)
        return done.with_a_gap(seed)

    named = {} if beside is None else beside
    others = [*random_circuits(graph, found.kept, controls, seed), *named.values()]
    first = [found.kept, graph.allowed & ~found.kept, *others]
    sizes = {
        size: _beside(graph, mask, of_a_size, seed)
        for size, mask in found.sizes.items()
        if mask.any() and (mask != found.kept).any()
    }
    magnitudes = {size: mask for size, mask in found.by_magnitude.items() if mask.any()}
    later = [*(each for masks in sizes.values() for each in masks), *magnitudes.values()]
    later.append(graph.allowed)
    if curve_on is None:
        done = run(fresh, [*first, *later])
        chosen, rest = done.of(slice(len(first))), done.of(slice(len(first), None))
    else:
        chosen, rest = run(fresh, first), run(curve_on, later)
    whole = rest.of([-1])
    frames = [_point(found.fraction, found.kept, chosen.of(slice(_OWN + controls)), seed)]
    at = 0
    for size, masks in sizes.items():
        frames.append(_point(size, masks[0], rest.of(slice(at, at + len(masks))), seed))
        at += len(masks)
    signed = [found.kept, *(masks[0] for masks in sizes.values())]
    values = np.array([float(each["faithfulness"].iloc[0]) for each in frames])
    # What was not cut from the ranking is no point of its curve.
    first_cut = 0 if found.ranked else 1
    curves: dict[Ranking, Points] = {"signed": (signed[first_cut:], values[first_cut:])}
    absolute = pd.DataFrame()
    if magnitudes:
        absolute = rest.of(slice(at, len(later) - 1)).frame(seed)
        absolute.insert(0, "fraction", [*magnitudes])
        absolute.insert(1, "edges", [int(each.sum()) for each in magnitudes.values()])
        curves["magnitude"] = ([*magnitudes.values()], absolute["faithfulness"].to_numpy())
    if found.fraction != 1:
        frames.append(_point(1.0, graph.allowed, whole, seed).assign(complement=0.0))
    curve = pd.concat(frames, ignore_index=True).sort_values("fraction", ignore_index=True)
    return Judged(
        chosen,
        likeness(graph, found.kept, others),
        curve,
        absolute,
        areas(graph, curves),
        floor,
        float(np.abs(whole.metric - whole.whole).max()),
        [*named],
        seed,
    )


def _beside(graph: Graph, mask: Mask, number: int, seed: int) -> list[Mask]:
    """A circuit, its complement, and random circuits of its size where there are so many."""
    try:
        drawn = random_circuits(graph, mask, number, seed)
    except NotApplicable:
        drawn = []
    return [mask, graph.allowed & ~mask, *drawn]


def _point(size: float, mask: Mask, done: Evaluation, seed: int) -> pd.DataFrame:
    """A row of the curve: of a circuit, its complement and random circuits, in this order, as far as there
    are any."""
    frame = done.frame(seed)
    beside = frame["faithfulness"][_OWN:]
    row = frame.iloc[:1].reset_index(drop=True)
    row.insert(0, "fraction", size)
    row.insert(1, "edges", int(mask.sum()))
    row.insert(5, "complement", frame["faithfulness"][1:_OWN].min())
    row.insert(6, "random_low", beside.min())
    row.insert(7, "random_high", beside.max())
    return row
