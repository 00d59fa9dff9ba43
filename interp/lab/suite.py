"""Several runs of one model: it is loaded once, tasks are built once, what did not change waits."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from interp.errors import UnavailableError, UsageError
from interp.lab import runs, site
from interp.lab.folders import check_out
from interp.lab.order import Order, Request, order
from interp.lab.progress import watching
from interp.lab.registry import Registry, Study, shown
from interp.lab.subject import classifier
from interp.report.result import Result

if TYPE_CHECKING:
    from interp.tasks import Gate, Task
    from interp.transformer import Transformer


def run(
    registry: Registry,
    studies: Sequence[Study],
    settings: Mapping[str, Mapping[str, Any]],
    request: Request,
) -> int:
    """Runs what changed, tells what it does, and returns the exit code.

    Raises  UsageError or UnavailableError before anything is run, if the model, a task or a folder
            is not to be had.
    """
    _check_task(studies, request)
    check_out(request.out)
    classified = {
        study.name: classifier(study, settings[study.name], request)
        for study in studies
        if study.model == "classifier"
    }
    if len(classified) < len(studies):
        model = load(request.model, request.dtype, request.device, request.revision)
    names = {study.name: _task_name(study, request) for study in studies}
    tasks = {name: _build(name, model, request) for name in dict.fromkeys(names.values()) if name}
    gates: dict[str, Gate] = {}
    if request.task is None and tasks:
        for usual, able in _within_reach(studies, tasks, model, request, gates).items():
            names = {study: able if name == usual else name for study, name in names.items()}
    orders = [
        order(
            study,
            classified.get(study.name) or model,
            tasks.get(names[study.name] or ""),
            settings[study.name],
            request,
        )
        for study in studies
    ]
    if request.dry_run:
        for each in orders:
            _tell(each, f"would {'run' if each.reason else 'skip'}: {_why(each)}")
            if each.reason and each.study.sweeps:
                _tell_cost(each)
        return 0
    codes: list[int] = []
    try:
        for each in orders:
            codes.append(_one(each, gates))
    finally:
        if request.out.is_dir():
            index = site.write_index(request.out, registry)
            if {0, 1} & set(codes):
                print(f"all reports: {shown(index.absolute())}")
    return next((code for code in (1, 3, 2) if code in codes), 0)


def load(name: str, dtype: str, device: str, revision: str | None) -> Transformer:
    """The model, in the number format and on the device that the command line names.

    Raises  What `interp.load` raises.
    """
    import torch

    import interp

    with watching(name) as watch:
        watch.step("loading the model")
        return interp.load(name, dtype=getattr(torch, dtype), device=device, revision=revision)


def _check_task(studies: Sequence[Study], request: Request) -> None:
    if request.task is not None and all(study.task is None for study in studies):
        names = ", ".join(study.name for study in studies)
        raise UsageError(
            f"--task {request.task!r} has no meaning here: {names} runs without a task"
        )


def _task_name(study: Study, request: Request) -> str | None:
    return None if study.task is None else request.task or study.task


def _within_reach(
    studies: Sequence[Study],
    tasks: dict[str, Task],
    model: Transformer,
    request: Request,
    gates: dict[str, Gate],
) -> dict[str, str]:
    """For each task that studies would run on by default and that the model cannot do, the first one
    that it can, which is put among the tasks; nothing where it can do none."""
    from interp.tasks import gate
    from interp.tasks import names as known

    found: dict[str, str] = {}
    for usual in {study.task for study in studies if study.task and study.gated}:
        gates[usual] = gate(model, tasks[usual])
        if not (reason := gates[usual].refused):
            continue
        for name in known():
            if name not in tasks:
                try:
                    tasks[name] = _build(name, model, request)
                except UsageError:
                    # Its vocabulary lacks the task's words.
                    continue
            gates[name] = gates.get(name) or gate(model, tasks[name])
            if not gates[name].refused:
                print(f"{usual}: {reason}\n{usual} is left for {name}, which it can do", flush=True)
                found[usual] = name
                break
    return found


def _build(name: str, model: Transformer, request: Request) -> Task:
    from interp import tasks

    # A user's file without a number means all that it holds.
    n = tasks.DEFAULT_N if request.n is None and name in tasks.names() else request.n
    return tasks.build(name, model.tokenizer, n=n, seed=request.seed)


def _one(each: Order, gates: dict[str, Gate]) -> int:
    """Runs this if it has to and returns its exit code."""
    if not each.reason:
        redrawn = each.replaces is not None and site.redraw(each.replaces)
        _tell(each, f"skipped: {_why(each)}{'; page drawn again' if redrawn else ''}")
        return 0
    _tell(each, f"runs: {each.reason}")
    try:
        result = runs.execute(each, _gate(each, gates))
    except (UsageError, UnavailableError) as error:
        complain(f"{each.study.name}: {error}")
        return error.exit_code
    runs.write(each, result)
    _tell_result(each, result)
    return 1 if result.status == "failed" else 0


def _tell_cost(each: Order) -> None:
    plans = runs.rehearse(each)
    for plan in plans:
        _tell(each, str(plan))
    if len(plans) > 1:
        flops, naive = sum(plan.flops for plan in plans), sum(plan.flops_naive for plan in plans)
        seconds = sum(plan.seconds for plan in plans)
        _tell(
            each,
            f"{len(plans)} sweeps, {flops / 1e12:.3g} TFLOP instead of {naive / 1e12:.3g}, about "
            f"{seconds:.0f} s; sweeps chosen by the results of others may differ",
        )


def _gate(each: Order, gates: dict[str, Gate]) -> Gate | None:
    from interp import tasks

    if each.task is None or not each.study.gated:
        return None
    if each.task.name not in gates:
        gates[each.task.name] = tasks.gate(cast("Transformer", each.model), each.task)
    return gates[each.task.name]


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


def _tell(each: Order, what: str) -> None:
    print(f"{each.study.name}: {what}", flush=True)


def complain(message: str) -> None:
    """Says what is wrong, in one line."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
