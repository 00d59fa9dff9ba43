"""One run from order to folder: the study is called, its report kept with where it comes from."""

import contextlib
import os
import random
import shutil
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from interp import files
from interp.errors import InterpError, NotApplicable, UnavailableError, UsageError
from interp.report import Report, Text, store
from interp.report.result import ModelFacts, Result, TaskFacts
from interp.runs import provenance
from interp.runs.costs import Rehearsal
from interp.runs.folders import alone
from interp.runs.inputs import failure, shown
from interp.runs.order import Order, unless_taken
from interp.study import declaration
from interp.study.progress import Watch, reach, watching
from interp.visible import one_line, placeless, title
from interp.weights.zoo import cache_folder

PROMPTS = "prompts"
_TRIES = 3


def execute(order: Order, why_not: str = "", label: str = "", usual: bool = False) -> Result:
    """What the study found, or how it failed; not run where there is a reason `why_not`, or where it
    refuses what is `usual`. What it does is shown under the `label`.

    Raises  UsageError and UnavailableError that the study raises: what was asked for cannot be run,
            which is no result.
    """
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    provenance.reset_peak_memory()
    clock = time.perf_counter()
    report, failed = None, None
    with watching(label or order.study.name) as watch:
        try:
            report = _report(order, why_not, watch)
        except NotApplicable as reason:
            report = _not_run(reason)
        except (UsageError, UnavailableError, KeyboardInterrupt) as reason:
            if not (usual and isinstance(reason, UsageError)):
                raise
            report = _not_run(reason)
        # A study may end in any way, and each is a failed run.
        except BaseException as error:
            failed = failure(order, watch.doing, error)
    seconds = round(time.perf_counter() - clock, 2)
    return Result(
        experiment=order.study.name,
        question=order.study.question,
        expectation=order.study.expects,
        method=order.study.method,
        model=_model_facts(order),
        task=_task_facts(order),
        settings={name: _shown(value) for name, value in order.settings.items()},
        seed=order.request.seed,
        versions=provenance.versions(),
        status="failed" if failed else "ok",
        report=report and _complete(order, report),
        error=failed,
        seconds=seconds,
        peak_memory_mb=provenance.peak_memory_mb(),
        started=started,
        command=order.command,
        key=order.key.digest,
        ungated=bool(order.ungated),
    )


def write(order: Order, result: Result) -> tuple[Order, Result]:
    """Puts the run into its folder, whole; what it replaces is gone afterwards. Returns what was
    written, and where: a report that cannot be drawn makes a failed run, and a folder that has come
    to be another file's is left to it.

    Raises  Unwritten if it cannot be written there; it says where the run is kept instead.
    """
    begun = order
    with alone(order.request.out):
        order = unless_taken(order)
        written = _written(order, replace(result, task=_task_facts(order), key=order.key.digest))
    tidy(begun)
    if order.replaces is not None and order.replaces != order.target:
        files.remove(order.replaces)
    return order, written


def tidy(order: Order) -> None:
    """Removes what the sweeps of a run have kept in order to go on. A run that is written needs it no
    more, also one whose process was killed before it could do this."""
    checkpoints = _checkpoints(order)
    files.remove(checkpoints)
    files.clear(checkpoints.parent)
    with contextlib.suppress(OSError):
        checkpoints.parent.rmdir()


class Unwritten(InterpError):
    """A run that was computed and is not where it belongs."""


def _written(order: Order, result: Result) -> Result:
    for _ in range(_TRIES):
        try:
            with files.folder(order.target, order.request.out) as folder:
                return _fill(folder, order, result)
        except Exception as error:
            if not files.is_of_the_system(error):
                raise
            why = files.reason(error)
            # Or else somebody removes the reports just now.
            if why != files.GONE:
                break
    raise Unwritten(
        f"{order.study.name} ran, but {order.target} cannot be written: {why}; {_kept(order, result)}"
    )


def _fill(folder: Path, order: Order, result: Result) -> Result:
    try:
        store.save(folder, result)
    except Exception as error:
        if files.is_of_the_system(error):
            raise
        for made in folder.iterdir():
            shutil.rmtree(made) if made.is_dir() else made.unlink()
        failed = failure(order, "writing the report", error)
        result = replace(result, status="failed", report=None, settings={}, error=failed)
        store.save(folder, result)
    order.key.save(folder)
    return result


def _kept(order: Order, result: Result) -> str:
    """Keeps the run in the first folder that takes it, outside the reports; says where."""
    for place in (tempfile.gettempdir, lambda: str(cache_folder())):
        try:
            target = Path(tempfile.mkdtemp(prefix="interp-", dir=place())) / order.target.name
        except OSError:
            continue
        try:
            with files.folder(target) as folder:
                _fill(folder, order, result)
        except Exception as error:
            shutil.rmtree(target.parent, ignore_errors=True)
            if not files.is_of_the_system(error):
                raise
            continue
        return f"the whole run is kept in {target}; make room and move it there"
    return "no other folder takes it either, and it is lost; make room and repeat the command"


def _not_run(reason: Exception) -> Report:
    return Report(answer=placeless(str(reason)), verdict="not run", sections=())


def _report(order: Order, why_not: str, watch: Watch) -> Report:
    from interp import engine

    watch.step("importing the study")
    function = order.study.load()
    if reason := declaration.why_not(function, order.model) or why_not:
        raise NotApplicable(reason)
    watch.step("running the study")
    _seed(order.request.seed)
    notes: list[str] = []
    with (
        # A study that changes the working folder does not take the reports along.
        contextlib.chdir("."),
        engine.options(
            memory=order.request.memory,
            checkpoints=_checkpoints(order),
            progress=reach,
            notes=notes,
        ),
    ):
        report = function(order.model, order.task, **order.arguments)
    if not isinstance(report, Report):
        raise InterpError(
            f"{order.study.function} must return an interp.report.Report, "
            f"it returned {type(report).__name__}"
        )
    if order.ungated:
        notes.insert(
            0,
            f"Run with --ungated: {order.ungated}. What follows is about a task that the model fails.",
        )
    if order.instead:
        notes.insert(0, one_line(f"{order.instead}.", 600))
    return replace(report, warnings=[*report.warnings, *notes])


def rehearse(order: Order) -> Rehearsal:
    """The study's sweeps and forward passes, none of which is run. What the study makes of the zeros and
    of what is made up, and where it stumbles over them, does not matter."""
    from interp import engine
    from interp.transformer import Transformer

    plans: list[Any] = []
    function = order.study.load()
    _seed(order.request.seed)
    assert isinstance(order.model, Transformer), "only transformers are swept"
    model = engine.imagining(order.model)
    clock = time.perf_counter()
    with (
        engine.options(memory=order.request.memory, rehearsal=plans),
        contextlib.suppress(ArithmeticError, InterpError, LookupError, RuntimeError, ValueError),
    ):
        function(model, order.task, **order.arguments)
    took = time.perf_counter() - clock
    return Rehearsal(order.model, plans, model.forwards, took)


def _checkpoints(order: Order) -> Path:
    """Where the sweeps of this run keep what is done, until the run is written."""
    place = order.request.out.absolute() / ".sweeps"
    return place / f"{order.study.name}-{order.key.digest[:16]}"


def _complete(order: Order, report: Report) -> Report:
    """The report with the prompts exactly as they ran, and the limits that its docstring states."""
    from interp.transformer import Transformer

    files, inputs = dict(report.files), report.inputs
    if order.task is not None:
        clusters = [prompt.cluster for prompt in order.task.prompts]
        files[PROMPTS] = order.task.frame().assign(cluster=clusters)
        if report.sections and isinstance(order.model, Transformer):
            inputs = [*(inputs or shown(order.model, order.task)), Text(order.model.bos.sentence)]
    limits = [*report.limits, *filter(None, [order.study.limits])]
    warnings = [placeless(warning) for warning in report.warnings]
    return replace(report, files=files, inputs=inputs, limits=limits, warnings=warnings)


def _shown(value: Any) -> Any:
    """A setting's value; of a file that the working folder does not lead to the end alone."""
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    is_place = isinstance(value, str) and os.path.isabs(value) and os.path.lexists(value)
    return title(value) if is_place else value


def _seed(seed: int) -> None:
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def _model_facts(order: Order) -> ModelFacts:
    origin = order.model.origin
    return ModelFacts(
        name=title(origin.name),
        family=origin.family,
        weights_sha256=origin.weights_sha256,
        dtype=order.request.dtype,
        device=order.request.device,
        revision=origin.revision,
        notes=[placeless(note) for note in origin.notes],
    )


def _task_facts(order: Order) -> TaskFacts | None:
    task = order.task
    return TaskFacts(task.name, task.n, task.dropped) if task else None
