"""Several runs of one model: it is loaded once, tasks are built once, what did not change waits."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from interp.errors import InterpError, UnavailableError, UsageError, brief
from interp.lab import costs, runs, site
from interp.lab.folders import check_out, check_run
from interp.lab.order import Order, Request, order
from interp.lab.progress import watching
from interp.lab.registry import Registry, Study, shown
from interp.lab.streams import complain
from interp.lab.subject import classifier
from interp.lab.task_choice import TaskChoice, choose
from interp.report.result import Result
from interp.visible import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from interp.engine import Plan
    from interp.tokenizers import Choice
    from interp.transformer import Transformer


def run(
    registry: Registry,
    studies: Sequence[Study],
    settings: Mapping[str, Mapping[str, Any]],
    request: Request,
    *,
    whole: bool = False,
) -> int:
    """Runs what changed, tells what it does, and returns the exit code. In the `whole` suite studies
    are asked about their second tasks too.

    Raises  UsageError or UnavailableError before anything is run, if the model, a task or a folder
            is not to be had.
    """
    _check_task(studies, request)
    _check_bos(studies, request)
    _check_ungated(studies, request)
    check_out(request.out)
    classified = {
        study.name: classifier(study, settings[study.name], request)
        for study in studies
        if study.model == "classifier"
    }
    if len(classified) < len(studies):
        model = load(request.model, request.dtype, request.device, request.revision, request.bos)
    transformers = [study for study in studies if study.name not in classified]
    choice = TaskChoice()
    if transformers:
        with watching(request.model) as watch:
            watch.step("building tasks and asking the model")
            choice = choose(transformers, model, request, whole)
    orders = [
        order(
            study,
            classified.get(study.name) or model,
            task,
            settings[study.name],
            request,
            choice.refusal(study, task, model) if request.ungated and task is not None else "",
        )
        for study in (cheap_first(studies) if whole else studies)
        for task in choice.tasks.get(study.name, [None])
    ]
    for each in orders:
        for setting in each.study.settings:
            setting.check_fit(each.settings[setting.name], each.model, each.task)
    if request.dry_run:
        _tell_costs(orders, choice)
        return 0
    for target in {each.target for each in orders if each.reason}:
        check_run(target)
    codes: list[int] = []
    try:
        for number, each in enumerate(orders, start=1):
            place = f"{number} of {len(orders)}, " if len(orders) > 1 else ""
            codes.append(_one(each, choice, place, whole and _as_usual(each)))
            if each.reason and number < len(orders) and request.out.is_dir():
                _index(request.out, registry, False, orders[number:])
    except runs.Unwritten as error:
        # The next would fare no better.
        complain(str(error), most=4000)
        codes.append(1)
    finally:
        if request.out.is_dir():
            codes += _index(request.out, registry, bool({0, 1} & set(codes)))
    return next((code for code in (1, 3, 2) if code in codes), 0)


def cheap_first(studies: Sequence[Study]) -> list[Study]:
    """In the order in which a suite runs, so that there is something to read soon."""
    return sorted(studies, key=lambda study: (study.cost, study.name))


def _index(out: Path, registry: Registry, told: bool, coming: Sequence[Order] = ()) -> list[int]:
    """Writes the index; a failure of that is said and has an exit code of its own."""
    later = [(each.study.name, each.study.question) for each in coming if each.reason]
    try:
        index = site.write_index(out, registry, later)
    except InterpError as error:
        complain(str(error))
        return [error.exit_code]
    if told:
        print(f"all reports: {shown(index.absolute())}")
    return []


def load(
    name: str, dtype: str, device: str, revision: str | None, bos: Choice = "auto"
) -> Transformer:
    """The model, in the number format, on the device and with the BOS that the command line names.

    Raises  What `interp.load` raises.
    """
    import torch

    import interp

    with watching(name) as watch:
        watch.step("loading the model")
        return interp.load(
            name, dtype=getattr(torch, dtype), device=device, revision=revision, bos=bos
        )


def _check_bos(studies: Sequence[Study], request: Request) -> None:
    if request.bos != "auto" and all(study.model == "classifier" for study in studies):
        names = ", ".join(study.name for study in studies)
        raise UsageError(
            f"--bos {request.bos} has no meaning here: {names} runs on a classifier, which reads a "
            "text as its own tokenizer gives it"
        )


def _check_ungated(studies: Sequence[Study], request: Request) -> None:
    if request.ungated and not any(study.gated and study.task for study in studies):
        names = ", ".join(study.name for study in studies)
        raise UsageError(f"--ungated has no meaning here: {names} asks no gate")


def _check_task(studies: Sequence[Study], request: Request) -> None:
    if request.task is not None and all(study.task is None for study in studies):
        names = ", ".join(study.name for study in studies)
        raise UsageError(
            f"--task {brief(request.task)} has no meaning here: {names} runs without a task"
        )


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
        _tell(each, f"skipped: {_why(each)}{'; page drawn again' if redrawn else ''}", place)
        return 0
    _tell(each, f"runs: {each.reason}", place)
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
            _tell(each, f"{result.verdict}: {result.answer}")
        raise
    _tell_result(each, result)
    return 1 if result.status == "failed" else 0


def _redrawn(folder: Path) -> bool:
    try:
        return site.redraw(folder)
    except InterpError as error:
        complain(f"{folder.name}: {error}")
        return False


def _tell_costs(orders: Sequence[Order], choice: TaskChoice) -> None:
    """What would run, and what its sweeps would cost."""
    every: list[Plan] = []
    for each in orders:
        if each.reason and (why_not := choice.why_not(each)):
            _tell(each, f"would not run: {why_not}")
            continue
        _tell(each, f"would {'run' if each.reason else 'skip'}: {_why(each)}")
        if each.ungated:
            _tell(each, f"ungated: {each.ungated}")
        if each.task is not None and not each.task.n:
            _tell(each, f"none of the {len(each.task.prompts)} prompts of {each.task.name} is fit")
            continue
        if not (each.reason and each.study.sweeps):
            continue
        plans = runs.rehearse(each)
        for line in costs.lines(plans):
            _tell(each, line)
        if len(plans) > 1:
            _tell(each, f"in all {costs.total(plans)}")
        every += plans
    if every:
        print("sweeps chosen by the results of others may differ")
    if len(orders) > 1 and every:
        print(f"everything: {costs.total(every)}; reading, statistics and pages come on top")


def _why(each: Order) -> str:
    return each.reason or f"nothing changed since {each.unchanged_since}"


def _tell_result(each: Order, result: Result) -> None:
    page = shown((each.target / "report.html").absolute())
    if result.error is not None:
        error = result.error
        first = error.message.strip().partition("\n")[0]
        complain(f"{each.study.name} failed while {error.step}: {error.type}: {first}")
        if each.request.debug:
            print(error.message, file=sys.stderr)
        _tell(each, f"failed after {result.seconds} s, {page}")
        return
    assert result.report is not None
    failed = [check.name for check in result.report.checks if not check.passed]
    if failed:
        _tell(each, f"CHECKS FAILED: {', '.join(failed)}")
    _tell(each, f"{result.verdict}: {result.answer}")
    _tell(each, f"{result.seconds} s, {page}")


def _tell(each: Order, what: str, place: str = "") -> None:
    print(f"{place}{each.study.name}: {one_line(what, 4000)}", flush=True)
