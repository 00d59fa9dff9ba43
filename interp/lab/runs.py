"""One run from order to folder: the study is called, its report kept with where it comes from."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from interp.errors import InterpError, NotApplicable, UnavailableError, UsageError
from interp.lab import provenance
from interp.lab.folders import replacing
from interp.lab.inputs import shown
from interp.lab.order import Order
from interp.lab.progress import Watch, meter, watching
from interp.report import Report, store
from interp.report.result import Failure, ModelFacts, Result, TaskFacts

if TYPE_CHECKING:
    from interp.engine import Plan
    from interp.tasks import Gate

PROMPTS = "prompts"


def execute(order: Order, gate: Gate | None) -> Result:
    """What the study found, or how it failed.

    Raises  UsageError and UnavailableError that the study raises: what was asked for cannot be run,
            which is no result.
    """
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    provenance.reset_peak_memory()
    clock = time.perf_counter()
    report, failure = None, None
    with watching(order.study.name) as watch:
        try:
            report = _report(order, gate, watch)
        except NotApplicable as reason:
            report = Report(answer=str(reason), verdict="not run", sections=())
        except (UsageError, UnavailableError):
            raise
        except (Exception, SystemExit) as error:
            failure = _failure(order, watch, error)
    seconds = round(time.perf_counter() - clock, 2)
    return Result(
        experiment=order.study.name,
        question=order.study.question,
        expectation=order.study.expects,
        method=order.study.method,
        model=_model_facts(order),
        task=_task_facts(order),
        settings=order.settings,
        seed=order.request.seed,
        versions=provenance.versions(),
        status="failed" if failure else "ok",
        report=report and _complete(order, report),
        error=failure,
        seconds=seconds,
        peak_memory_mb=provenance.peak_memory_mb(),
        started=started,
        command=order.command,
        key=order.key.digest,
    )


def write(order: Order, result: Result) -> None:
    """Puts the run into its folder, whole; what it replaces is gone afterwards."""
    with replacing(order.target, order.request.out) as folder:
        store.save(folder, result)
        order.key.save(folder)
    shutil.rmtree(_checkpoints(order), ignore_errors=True)
    if order.replaces is not None and order.replaces != order.target:
        shutil.rmtree(order.replaces, ignore_errors=True)


def _report(order: Order, gate: Gate | None, watch: Watch) -> Report:
    from interp import engine

    watch.step("importing the study")
    function, declared = order.study.load()
    if declared.applies is not None and (reason := declared.applies(order.model)):
        raise NotApplicable(reason)
    if gate is not None and gate.refused:
        raise NotApplicable(gate.refused)
    watch.step("running the study")
    _seed(order.request.seed)
    notes: list[str] = []
    with engine.options(
        memory=order.request.memory,
        checkpoints=_checkpoints(order),
        progress=_counted,
        notes=notes,
    ):
        report = function(order.model, order.task, **order.arguments)
    if not isinstance(report, Report):
        raise InterpError(
            f"{order.study.function} must return an interp.report.Report, "
            f"it returned {type(report).__name__}"
        )
    return replace(report, warnings=[*report.warnings, *notes])


def rehearse(order: Order) -> list[Plan]:
    """The plans of the study's sweeps, which are not run. What the study makes of their zeros, and
    where it stumbles over them, does not matter."""
    from interp import engine

    plans: list[Plan] = []
    function, _ = order.study.load()
    _seed(order.request.seed)
    with (
        engine.options(memory=order.request.memory, rehearsal=plans),
        contextlib.suppress(ArithmeticError, InterpError, LookupError, RuntimeError, ValueError),
    ):
        function(order.model, order.task, **order.arguments)
    return plans


def _checkpoints(order: Order) -> Path:
    """Where the sweeps of this run keep what is done, until the run is written."""
    return order.request.out / ".sweeps" / f"{order.study.name}-{order.key.digest[:16]}"


def _counted(done: int, total: int, what: str) -> None:
    watch = meter(what, total)
    watch.advance(done)


def _complete(order: Order, report: Report) -> Report:
    """The report with the prompts exactly as they ran, and the limits that its docstring states."""
    from interp.transformer import Transformer

    files, inputs = dict(report.files), report.inputs
    if order.task is not None:
        clusters = [prompt.cluster for prompt in order.task.prompts]
        files[PROMPTS] = order.task.frame().assign(cluster=clusters)
        if report.sections and not inputs and isinstance(order.model, Transformer):
            inputs = shown(order.model, order.task)
    limits = [*report.limits, *filter(None, [order.study.limits])]
    return replace(report, files=files, inputs=inputs, limits=limits)


def _seed(seed: int) -> None:
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def _failure(order: Order, watch: Watch, error: BaseException) -> Failure:
    message = str(error)
    if not isinstance(error, InterpError):
        message = "\n".join([message, "", "".join(traceback.format_exception(error))])
    return Failure(type(error).__name__, message, step=watch.doing, resume=order.command)


def _model_facts(order: Order) -> ModelFacts:
    origin = order.model.origin
    return ModelFacts(
        name=origin.name,
        family=origin.family,
        weights_sha256=origin.weights_sha256,
        dtype=order.request.dtype,
        device=order.request.device,
        revision=origin.revision,
        notes=origin.notes,
    )


def _task_facts(order: Order) -> TaskFacts | None:
    task = order.task
    return TaskFacts(task.name, task.n, task.dropped) if task else None
