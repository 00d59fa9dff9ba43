"""A test of a selection as a page shows it: sentence, headlines, tables, and what the verdict rests on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp import stats
from interp.effects.test import Test, too_few
from interp.report import Distribution, Headline, NotRun, Table, Text
from interp.stats.verdict import POWER, RECHOICES, smallest_effect


def confirmed(test: Test, name: str = "confirmed") -> Table:
    """Every chosen component, estimated on the fresh prompts."""
    found = test.each
    note = f"Interval: {found.method}; p inverts it."
    if not test.fresh.signed:
        note = f"Interval: {found.method}; no p, since the effects cannot be negative."
    if not test.confirmation.enough:
        note = too_few(found.clusters)
    elif test.skewed:
        note += (
            f" Cluster means are skewed beyond {stats.SKEWED} for {', '.join(test.skewed[:5])}: these "
            "intervals may be too short."
        )
    return Table(
        name,
        test.frame,
        title=f"The chosen {test.what}, estimated on {test.fresh.task.n} held-out prompts",
        note=note,
        first_rows=max(len(test.labels), 1),
    )


def beside(tests: Mapping[str, Test]) -> pd.DataFrame:
    """names, and of each test NAME_effect, NAME_low, NAME_high and NAME_p_corrected on its fresh prompts."""
    first = next(iter(tests.values()))
    columns = {
        f"{name}_{column.removeprefix('ci_')}": test.frame[column].to_numpy()
        for name, test in tests.items()
        for column in ("effect", "ci_low", "ci_high", "p_corrected")
    }
    return first.selection.names.assign(**columns)


def sentence(test: Test, does: str = "move it by") -> str:
    """How the chosen did together, beside their directional controls, and their rank."""
    chosen = test.confirmation.chosen
    others = " and ".join(
        f"{name} {float(each.value):.2f}" for name, each in test.confirmation.controls.items()
    )
    said = (
        f"The {len(test.labels)} strongest {does} {float(chosen.value):.2f} each there, "
        "the way they did"
    )
    said += " where they were chosen" + (f"; {others}" if others else "")
    if test.ranking.ran:
        said += f". Among random sets {test.matched} they rank p = {test.ranking.p:.2g}"
    return said + "."


def listed(several: Sequence[Any]) -> str:
    """These as people say them: `L9H9, L9H6 and L10H0`."""
    *others, last = map(str, several)
    return f"{', '.join(others)} and {last}" if others else last


def headlines(test: Test) -> list[Headline]:
    """The strongest and all chosen together, confirmed, and their rank among random sets."""
    unit, first, together = test.fresh.unit, test.first, test.confirmation.chosen
    ends = {} if np.isnan(first.ci_low) else {"low": first.ci_low, "high": first.ci_high}
    shown = [
        Headline(
            f"{test.labels[0]}, confirmed",
            first.effect,
            unit,
            n=int(first.n),
            note="chosen on the screen's discovery half, estimated on held-out prompts",
            **ends,
        )
    ]
    if len(test.labels) > 1:
        whole = test.confirmation.enough
        shown.append(
            Headline(
                f"the {len(test.labels)} chosen, mean",
                float(together.value),
                unit,
                float(together.low) if whole else None,
                float(together.high) if whole else None,
                together.n,
                "each in the direction that it had on the discovery half",
            )
        )
    if test.ranking.ran:
        shown.append(
            Headline(
                "rank among random sets, p",
                test.ranking.p,
                note=f"{test.ranking.draws} sets of as many {test.what} {test.matched}",
            )
        )
    return shown


def per_prompt(test: Test, title: str) -> Distribution:
    """The effect of every chosen component on every fresh prompt."""
    found, task = test.each, test.fresh.task
    return Distribution(
        title,
        list(test.labels),
        test.fresh.values,
        unit=test.fresh.unit,
        means=found.value,
        low=found.low,
        high=found.high,
        groups=[prompt.order for prompt in task.kept],
        examples=[prompt.clean for prompt in task.kept],
        note="The strongest of the screen's discovery half first, on fresh prompts.",
    )


def controls(tests: Sequence[Test]) -> list[Text | Table]:
    """What each choice was held against: null, population and power in words, and the table."""
    several = len(tests) > 1
    rows = [row for each in tests for row in _rows(each, f"{each.what}: " if several else "")]
    table = Table(
        "controls",
        pd.DataFrame(rows, columns=_COLUMNS),
        title="The chosen beside their controls",
        note=f"Mean effect in {tests[0].fresh.unit}, {_counted(tests)}. Random sets: on the "
        "held-out half of the screen; p is the share of sets at least as large. Other controls: on the fresh "
        "prompts, paired difference with its interval.",
    )
    return [*(Text(_words(each, several)) for each in tests), table]


def _counted(tests: Sequence[Test]) -> str:
    """In what direction effects count."""
    if all(each.selection.one_sided for each in tests):
        return "counted upwards"
    return "each in the direction that it had on the discovery half"


def not_run(tests: Sequence[Test]) -> list[NotRun]:
    """The controls that there were too few components for."""
    return [
        NotRun(f"random sets of {each.what} {each.matched}", each.ranking.reason)
        for each in tests
        if not each.ranking.ran
    ]


def files(tests: Sequence[Test]) -> dict[str, pd.DataFrame]:
    """The prompts that confirmed, which are the same for all."""
    return {"confirmation_prompts": tests[0].fresh.task.frame()} if tests else {}


_COLUMNS = (
    *("control", "controls", "chosen_effect", "control_effect", "difference"),
    *("ci_low", "ci_high", "p", "largest_control", "n"),
)


def _rows(each: Test, before: str) -> list[Mapping[str, object]]:
    rank, confirmation = each.ranking, each.confirmation
    rows: list[Mapping[str, object]] = []
    if rank.ran:
        middle = float(rank.null.mean())
        rows.append(
            {
                "control": f"{before}random sets {each.matched}",
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


def _words(each: Test, several: bool) -> str:
    title = f"**{each.what.capitalize()}: {each.verdict}.** " if several else ""
    lines = [_null(each), _population(each), _power(each)]
    if not each.fresh.signed:
        lines.append(
            f"**Zero** is no null: effects in {each.fresh.unit} are never negative, so that the verdict "
            "rests on the rank and on the directional controls."
        )
    return title + "\n".join(["What the verdict rests on.", "", *(f"- {line}" for line in lines)])


def _null(each: Test) -> str:
    rank, number = each.ranking, len(each.labels)
    ways = "all counted upwards, as the chosen are"
    if not each.selection.one_sided:
        ways = (
            "each in its discovery direction or all in the directions of the chosen, whichever is less "
            "favourable"
        )
    said = f"**Null**: {number} random {each.what} {each.matched}, {ways}."
    if not rank.ran:
        return f"{said} Not run: {rank.reason}. Without it nothing is called supported."
    return (
        f"{said} The chosen set's held-out mean on the screen, {rank.value:.3g} {each.fresh.unit}, ranks p = "
        f"{rank.p:.2g} among {rank.draws} of them (mean {float(rank.null.mean()):.3g}, one in forty "
        f"reaches {rank.high:.3g}). Picked at random, {each.at_random:.1%} of {RECHOICES:,} choices would "
        "have passed this rank and an interval beyond zero there."
    )


def _population(each: Test) -> str:
    fresh = each.fresh.task
    said = (
        f"**Population**: {fresh.called} like the {fresh.n} held-out ones, of "
        f"{len(np.unique(fresh.clusters))} independent groups ({fresh.groups}) held out from the choice"
    )
    if fresh.items is not None:
        said += f", about {len(np.unique(fresh.items))} different items"
    shared = f"; shared with the screen: {', '.join(fresh.shared)}" if fresh.shared else ""
    return f"{said}{shared}."


def _power(each: Test) -> str:
    confirmation = each.confirmation
    if not confirmation.enough:
        return (
            f"**Power**: none; {confirmation.chosen.clusters} independent groups of "
            f"{each.fresh.task.called} are too few for an interval, so the verdict is inconclusive "
            "whatever the effect."
        )
    least = smallest_effect(confirmation)
    return (
        f"**Power**: the smallest mean effect found {POWER * 10:.0f} times in 10 is {least:.3g} "
        f"{each.fresh.unit}; the chosen have {float(confirmation.chosen.value):.3g}."
    )
