"""What a study would cost, in few lines: sweeps of as many interventions are told together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interp.study.progress import duration

if TYPE_CHECKING:
    from interp.engine import Forward, Plan
    from interp.transformer import Transformer


@dataclass(frozen=True)
class Rehearsal:
    """A study as it would run: its sweeps, its other forward passes, and the seconds of all that the
    rehearsal has really done (statistics, and choosing what to run)."""

    model: Transformer
    plans: Sequence[Plan]
    forwards: Sequence[Forward]
    rest: float

    @property
    def seconds(self) -> float:
        """About how long the whole study takes on this machine."""
        from interp.engine.speed import seconds_of_forward

        swept = sum(plan.seconds for plan in self.plans)
        return (
            swept + sum(seconds_of_forward(self.model, each) for each in self.forwards) + self.rest
        )


def lines(plans: Sequence[Plan]) -> list[str]:
    """A line for the sweeps of each number of interventions."""
    alike: dict[int, list[Plan]] = {}
    for plan in plans:
        alike.setdefault(plan.n_interventions, []).append(plan)
    return [_line(number, each) for number, each in alike.items()]


def total(rehearsals: Sequence[Rehearsal]) -> str:
    """All of them in one sentence."""
    plans = [plan for each in rehearsals for plan in each.plans]
    n_forwards = sum(len(each.forwards) for each in rehearsals)
    return (
        f"{_swept(plans)}, about {duration(sum(each.seconds for each in rehearsals))} with {n_forwards} "
        "other forward passes and all else"
    )


def _swept(plans: Sequence[Plan]) -> str:
    flops, naive = sum(plan.flops for plan in plans), sum(plan.flops_naive for plan in plans)
    return (
        f"{len(plans)} sweeps, {flops / 1e12:.3g} TFLOP instead of {naive / 1e12:.3g}, at most "
        f"{max((plan.memory for plan in plans), default=0) / 2**20:.0f} MiB above the model"
    )


def _line(number: int, plans: Sequence[Plan]) -> str:
    if len(plans) == 1:
        return str(plans[0])
    n_prompts = _span(plan.n_examples for plan in plans)
    n_tokens = _span(plan.n_pos for plan in plans)
    skipped, naive = sum(plan.skipped for plan in plans), sum(len(plan.naive) for plan in plans)
    apart = f", {naive} one by one" if naive else ""
    return (
        f"{number} interventions on {n_prompts} prompts of {n_tokens} tokens, {skipped} of them in all "
        f"change nothing{apart}: {_swept(plans)}, about {duration(sum(plan.seconds for plan in plans))}"
    )


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"
