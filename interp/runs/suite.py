"""Several runs of one model: it is loaded once, tasks are built once, what did not change waits."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from interp.errors import UnavailableError, UsageError, brief
from interp.runs import costs
from interp.runs import execute as runs
from interp.runs.folders import check_out
from interp.runs.order import Order, Request, order
from interp.runs.queue import Queue, tell, why
from interp.runs.task_choice import TaskChoice, choose
from interp.streams import complain
from interp.study.progress import watching
from interp.study.registry import Registry, Study

if TYPE_CHECKING:
    from interp.classifiers.classifier import Absent, Classifier
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
    _check_options(studies, request)
    check_out(request.out)
    classified = {
        study.name: classifier(study, settings[study.name], request)
        for study in studies
        if study.model == "classifier"
    }
    if len(classified) < len(studies):
        model = load(request.model, request.dtype, request.device, request.revision, request.bos)
    transformers = [study for study in studies if study.name not in classified]
    if whole:
        # The cheap ones first, so that there is something to read soon.
        studies = sorted(studies, key=lambda study: (study.cost, study.name))
    queue = Queue(registry, studies, request, whole)
    choice = TaskChoice()

    def ordered(those: Sequence[Study]) -> list[Order]:
        return [
            order(
                study,
                classified.get(study.name) or model,
                task,
                settings[study.name],
                request,
                choice.refusal(study, task, model) if request.ungated and task is not None else "",
                choice.left(study, task),
            )
            for study in those
            for task in choice.tasks.get(study.name, [None])
        ]

    # What needs no task need not wait until it is known which ones the model can do.
    waits = not whole or _asks_for_more(queue.studies, settings, request)
    early: list[Study] = []
    if not waits:
        early += itertools.takewhile(lambda study: study.task is None, queue.studies)
    try:
        first = ordered(early)
        _check_fit(first)
        queue.run(first, choice)
        if transformers:
            with watching(request.model) as watch:
                watch.step("asking which tasks it can do")
                choice = choose(transformers, model, request, whole)
        orders = ordered([study for study in queue.studies if study not in early])
        _check_fit(orders)
        if request.dry_run:
            _tell_costs(orders, choice)
            return 0
        queue.run(orders, choice)
    except runs.Unwritten as error:
        # The next would fare no better.
        complain(str(error), most=4000)
        queue.codes.append(1)
    finally:
        code = queue.close() if queue.begun else 0
    return code


def _asks_for_more(
    studies: Sequence[Study], settings: Mapping[str, Mapping[str, Any]], request: Request
) -> bool:
    """Whether something was asked for that may turn out not to be had when tasks are built."""
    given = any(
        settings[study.name][each.name] != each.default
        for study in studies
        for each in study.settings
    )
    return given or request.dry_run or (request.task, request.n) != (None, None)


def _check_fit(orders: Sequence[Order]) -> None:
    for each in orders:
        for setting in each.study.settings:
            setting.fit(each.settings[setting.name], each.model, each.task, setting.option)


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


def classifier(study: Study, settings: Mapping[str, Any], request: Request) -> Classifier | Absent:
    """The classifier of the study's settings.

    One that nobody asked for by name may be out of reach: the study is given its absence.

    Raises  UnavailableError if it was asked for and cannot be had.
    """
    import torch

    from interp.classifiers.classifier import Absent
    from interp.classifiers.loading import load
    from interp.transformer import Origin

    name = settings["classifier"]
    usual = {each.name: each.default for each in study.settings}
    with watching(name) as watch:
        watch.step("loading the classifier")
        try:
            return load(
                name,
                label=settings.get("label", ""),
                dtype=getattr(torch, request.dtype),
                device=request.device,
                remote_code=settings.get("remote_code", False),
            )
        except UnavailableError as error:
            if name != usual["classifier"]:
                raise
            return Absent(Origin(name, "none", ""), str(error))


def _check_options(studies: Sequence[Study], request: Request) -> None:
    """Passes if every option that was given means something to one of these studies.

    Raises  UsageError otherwise.
    """
    option = why = ""
    if request.task is not None and all(study.task is None for study in studies):
        option, why = f"--task {brief(request.task)}", "runs without a task"
    elif request.bos != "auto" and all(study.model == "classifier" for study in studies):
        reads = "which reads a text as its own tokenizer gives it"
        option, why = f"--bos {request.bos}", f"runs on a classifier, {reads}"
    elif request.ungated and not any(study.gated and study.task for study in studies):
        option, why = "--ungated", "asks no gate"
    if option:
        names = ", ".join(study.name for study in studies)
        raise UsageError(f"{option} has no meaning here: {names} {why}")


def _tell_costs(orders: Sequence[Order], choice: TaskChoice) -> None:
    """What would run, and what its sweeps would cost."""
    every: list[costs.Rehearsal] = []
    for each in orders:
        if each.reason and (why_not := choice.why_not(each)):
            tell(each, f"would not run: {why_not}")
            continue
        tell(each, f"would {'run' if each.reason else 'skip'}: {why(each)}")
        if each.ungated:
            tell(each, f"ungated: {each.ungated}")
        if each.task is not None and not each.task.n:
            tell(each, f"none of the {len(each.task.prompts)} prompts of {each.task.name} is fit")
            continue
        if not (each.reason and each.study.sweeps):
            continue
        rehearsal = runs.rehearse(each)
        for line in costs.lines(rehearsal.plans):
            tell(each, line)
        tell(each, f"in all {costs.total([rehearsal])}")
        every.append(rehearsal)
    if any(rehearsal.plans for rehearsal in every):
        print("sweeps chosen by the results of others may differ")
    if len(orders) > 1 and every:
        print(f"everything: {costs.total(every)}; loading, gates and pages come on top")
