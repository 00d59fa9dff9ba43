"""What sweeps would cost, in few lines: those of as many interventions are told together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interp.engine import Plan


def lines(plans: Sequence[Plan]) -> list[str]:
    """A line for the sweeps of each number of interventions."""
    alike: dict[int, list[Plan]] = {}
    for plan in plans:
        alike.setdefault(plan.n_interventions, []).append(plan)
    return [_line(number, each) for number, each in alike.items()]


def total(plans: Sequence[Plan]) -> str:
    """All of them in one sentence."""
    flops, naive = sum(plan.flops for plan in plans), sum(plan.flops_naive for plan in plans)
    minutes, seconds = divmod(round(sum(plan.seconds for plan in plans)), 60)
    return (
        f"{len(plans)} sweeps, {flops / 1e12:.3g} TFLOP instead of {naive / 1e12:.3g}, at most "
        f"{max(plan.memory for plan in plans) / 2**20:.0f} MiB above the model, about "
        f"{f'{minutes} min ' if minutes else ''}{seconds} s"
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
        f"change nothing{apart}: {total(plans)}"
    )


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"
