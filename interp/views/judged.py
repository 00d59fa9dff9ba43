"""What a verdict rests on, as a page says it: its null, its population, its power, and its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from interp.report import NotRun, Table, Text
from interp.report.blocks import Verdict
from interp.stats import Estimate
from interp.stats.verdict import POWER, RECHOICES, Confirmation, smallest_effect
from interp.views.tested import Tested


def verdict(tests: Sequence[Tested]) -> Verdict:
    """Of several choices: supported if all are, not supported if one is not, else inconclusive."""
    found = {each.verdict for each in tests}
    if found == {"supported"}:
        return "supported"
    return "not supported" if "not supported" in found else "inconclusive"


def controls(tests: Sequence[Tested]) -> list[Text | Table]:
    """What each choice was held against: null, population and power in words, and the table."""
    several = len(tests) > 1
    rows = [row for each in tests for row in _rows(each, f"{each.what}: " if several else "")]
    table = Table(
        "controls",
        pd.DataFrame(rows, columns=_COLUMNS),
        title="The chosen beside their controls",
        note=f"Mean effect in {tests[0].unit}, each in the direction that it had on the discovery half. "
        "Random sets: on the held-out half of the screen; p is the share of sets at least as large. Other "
        "controls: on the fresh prompts, paired difference with its interval.",
    )
    return [*(Text(_words(each, several)) for each in tests), table]


def rule(null: str, population: str, power: str) -> Text:
    """The rule of a study whose question is of another kind, in the same terms."""
    lines = {"Null": null, "Population": population, "Power": power}
    said = "\n".join(f"- **{name}**: {text}" for name, text in lines.items())
    return Text(f"What the verdict rests on.\n\n{said}")


def against(threshold: float, *estimates: Estimate) -> Verdict:
    """Supported if every interval lies above the threshold, not supported if one lies below it, else
    inconclusive; an estimate without interval decides nothing."""
    if all(float(each.low) > threshold for each in estimates):
        return "supported"
    if any(float(each.high) < threshold for each in estimates):
        return "not supported"
    return "inconclusive"


def least(estimate: Estimate) -> str:
    """The smallest mean that an interval like this one's would tell from zero 8 times in 10, in words."""
    found = smallest_effect(Confirmation(estimate, {}, {}))
    return f"the smallest mean found {POWER * 10:.0f} times in 10 is {found:.3g}"


def not_run(tests: Sequence[Tested]) -> list[NotRun]:
    """The controls that there were too few components for."""
    return [said for each in tests for said in each.not_run]


def files(tests: Sequence[Tested]) -> dict[str, pd.DataFrame]:
    """The prompts that confirmed, which are the same for all."""
    return dict(tests[0].files) if tests else {}


_COLUMNS = (
    "control",
    "controls",
    "chosen_effect",
    "control_effect",
    "difference",
    "ci_low",
    "ci_high",
    "p",
    "largest_control",
    "n",
)


def _rows(each: Tested, before: str) -> list[Mapping[str, object]]:
    rank, confirmation = each.ranking, each.confirmation
    rows: list[Mapping[str, object]] = []
    if rank.ran:
        middle = float(rank.null.mean())
        rows.append(
            {
                "control": f"{before}random sets {each.strata}",
                "controls": rank.draws,
                "chosen_effect": rank.value,
                "control_effect": middle,
                "difference": rank.value - middle,
                "p": rank.p,
                "largest_control": float(rank.null.max()),
            }
        )
    for name, control in confirmation.controls.items():
        difference = confirmation.differences[name]
        row = {
            "control": f"{before}{name}",
            "controls": len(each.labels),
            "chosen_effect": float(confirmation.chosen.value),
            "control_effect": float(control.value),
            "difference": float(difference.value),
            "n": difference.n,
        }
        if confirmation.enough and difference.p is not None:
            ends = {"ci_low": difference.low, "ci_high": difference.high, "p": difference.p}
            row |= {key: float(value) for key, value in ends.items()}
        rows.append(row)
    return rows


def _words(each: Tested, several: bool) -> str:
    title = f"**{each.what.capitalize()}: {each.verdict}.** " if several else ""
    return title + "\n".join(
        ["What the verdict rests on.", "", *(f"- {line}" for line in _lines(each))]
    )


def _lines(each: Tested) -> list[str]:
    return [_null(each), _population(each), _power(each)]


def _null(each: Tested) -> str:
    rank, number = each.ranking, len(each.labels)
    said = (
        f"**Null**: {number} random {each.what} {each.strata}, each in its discovery direction or all in the "
        "directions of the chosen, whichever is less favourable."
    )
    if not rank.ran:
        return f"{said} Not run: {rank.reason}. Without it nothing is called supported."
    return (
        f"{said} The chosen set's held-out mean on the screen, {rank.value:.3g} {each.unit}, ranks p = "
        f"{rank.p:.2g} among {rank.draws} of them (mean {float(rank.null.mean()):.3g}, one in forty "
        f"reaches {rank.high:.3g}). Picked at random, {each.at_random:.1%} of {RECHOICES:,} choices would "
        "have passed this rank and an interval beyond zero there."
    )


def _population(each: Tested) -> str:
    fresh = each.fresh
    said = (
        f"**Population**: prompts like the {fresh.n} held-out ones, of {len(np.unique(fresh.clusters))} "
        "independent groups (templates) that had no say in the choice"
    )
    if fresh.items is not None:
        said += f", about {len(np.unique(fresh.items))} different items"
    shared = f"; shared with the screen: {', '.join(fresh.shared)}" if fresh.shared else ""
    return f"{said}{shared}."


def _power(each: Tested) -> str:
    confirmation = each.confirmation
    if not confirmation.enough:
        return (
            f"**Power**: none; {confirmation.chosen.clusters} independent groups of prompts are too few "
            "for an interval, so the verdict is inconclusive whatever the effect."
        )
    least = smallest_effect(confirmation)
    return (
        f"**Power**: the smallest mean effect found {POWER * 10:.0f} times in 10 is {least:.3g} "
        f"{each.unit}; the chosen have {float(confirmation.chosen.value):.3g}."
    )
