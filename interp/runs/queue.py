"""Runs one after the other: each is told with its place, and the index is written after each."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from interp.errors import InterpError, UnavailableError, UsageError
from interp.report.result import Result
from interp.runs import execute as runs
from interp.runs import site
from interp.runs.folders import check_run
from interp.runs.order import Order, Request
from interp.runs.task_choice import TaskChoice
from interp.streams import complain
from interp.study.registry import Registry, Study, shown
from interp.visible import one_line


@dataclass(slots=True)
class Queue:
    """The studies of a suite in the order in which they run, and the exit codes of those that have."""

    registry: Registry
    studies: Sequence[Study]
    request: Request
    whole: bool
    codes: list[int] = field(default_factory=list)
    begun: bool = False

    def run(self, orders: Sequence[Order], choice: TaskChoice) -> None:
        """Runs what has to run of these, some or all of the studies that are left.

        Raises  UsageError before anything is run, if a run's folder is not to be had; Unwritten if a run
                cannot be kept where it belongs.
        """
        for target in {each.target for each in orders if each.reason}:
            check_run(target)
        self.begun = True
        names = [study.name for study in self.studies]
        last = max((names.index(each.study.name) for each in orders), default=len(names))
        later = self.studies[last + 1 :]
        for number, each in enumerate(orders, start=1):
            place = (
                f"{1 + names.index(each.study.name)} of {len(names)}, " if len(names) > 1 else ""
            )
            self.codes.append(_one(each, choice, place, self.whole and _as_usual(each)))
            coming = [*(order.study for order in orders[number:] if order.reason), *later]
            if each.reason and coming and self.request.out.is_dir():
                self.index([(study.name, study.question) for study in coming])

    def close(self) -> int:
        """Writes the index over all, and returns the exit code of the whole."""
        if self.request.out.is_dir():
            told = bool({0, 1} & set(self.codes))
            self.codes += self.index(told=told)
        return next((code for code in (1, 3, 2) if code in self.codes), 0)

    def index(self, coming: Sequence[tuple[str, str]] = (), told: bool = False) -> list[int]:
        """Writes the index; a failure of that is said and has an exit code of its own."""
        try:
            index = site.write_index(self.request.out, self.registry, list(dict.fromkeys(coming)))
        except InterpError as error:
            complain(str(error))
            return [error.exit_code]
        if told:
            print(f"all reports: {shown(index.absolute())}")
        return []


def _as_usual(each: Order) -> bool:
    """Whether nothing was asked of this run that the model could lack."""
    settings, request = each.study.settings, each.request
    usual = all(each.settings[setting.name] == setting.default for setting in settings)
    return usual and (request.task, request.n, request.memory) == (None, None, None)


def _one(each: Order, choice: TaskChoice, place: str = "", usual: bool = False) -> int:
    """Runs this if it has to and returns its exit code; `place` is which of how many it is. A study
    that refuses what is `usual` has nothing to say about the model."""
    if not each.reason:
        runs.tidy(each)
        redrawn = each.replaces is not None and _redrawn(each.replaces)
        tell(each, f"skipped: {why(each)}{'; page drawn again' if redrawn else ''}", place)
        return 0
    tell(each, f"runs: {each.reason}", place)
    try:
        result = runs.execute(each, choice.why_not(each), f"{place}{each.study.name}", usual)
    except (UsageError, UnavailableError) as error:
        runs.tidy(each)
        complain(f"{each.study.name}: {error}")
        return error.exit_code
    try:
        each, result = runs.write(each, result)
    except runs.Unwritten:
        if result.report is not None:
            tell(each, f"{result.verdict}: {result.answer}")
        raise
    _tell_result(each, result)
    return 1 if result.status == "failed" else 0


def _redrawn(folder: Path) -> bool:
    try:
        return site.redraw(folder)
    except InterpError as error:
        complain(f"{folder.name}: {error}")
        return False


def why(each: Order) -> str:
    """Why this runs, or since when nothing has changed."""
    return each.reason or f"nothing changed since {each.unchanged_since}"


def _tell_result(each: Order, result: Result) -> None:
    page = shown((each.target / "report.html").absolute())
    if result.error is not None:
        error = result.error
        first = error.message.strip().partition("\n")[0]
        complain(f"{each.study.name} failed while {error.step}: {error.type}: {first}")
        if each.request.debug:
            print(error.message, file=sys.stderr)
        tell(each, f"failed after {result.seconds} s, {page}")
        return
    assert result.report is not None
    failed = [check.name for check in result.report.checks if not check.passed]
    if failed:
        tell(each, f"CHECKS FAILED: {', '.join(failed)}")
    tell(each, f"{result.verdict}: {result.answer}")
    tell(each, f"{result.seconds} s, {page}")


def tell(each: Order, what: str, place: str = "") -> None:
    """Says it of this run; `place` is which of how many it is."""
    print(f"{place}{each.study.name}: {one_line(what, 4000)}", flush=True)
