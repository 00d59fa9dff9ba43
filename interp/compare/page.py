"""The page that compares two runs, kept as a run like any other."""

import os
import re
from pathlib import Path

from interp import files
from interp.compare import comparison
from interp.errors import InterpError
from interp.report import store
from interp.report.result import ModelFacts, Result, TaskFacts
from interp.runs import provenance
from interp.runs.folders import folder_name
from interp.runs.key import checksum
from interp.visible import one_line, relative

COMPARISONS = "comparisons"


def write_comparison(first: Path, second: Path, out: Path) -> tuple[Path, str]:
    """Writes the page that compares the runs in two folders; returns its path and what it says. It is a run
    like any other, kept below `out`: the index lists it, `render` draws it again.

    Raises  UsageError if the two cannot be compared, InterpError if one cannot be read.
    """
    one, other = store.load(first), store.load(second)
    result = _comparison(one, other, [_below(first, out), _below(second, out)])
    names = (re.sub(r"[^A-Za-z0-9.]+", "-", name) for name in comparison.labels(one, other))
    # The same comparison has the same name wherever the reports lie.
    places = [os.path.relpath(each.resolve(), out.resolve()) for each in (first, second)]
    mark = checksum("\n".join(places).encode())[:8]
    target = (
        out / COMPARISONS / folder_name(one.experiment) / folder_name(f"{'-'.join(names)}-{mark}")
    )
    advice = "make room and repeat the command"
    with files.writing(target, advice), files.folder(target, out) as folder:
        store.save(folder, result)
    return target / "report.html", result.answer


def _comparison(one: Result, other: Result, folders: list[str]) -> Result:
    def both(first: str, second: str) -> str:
        return first if first == second else f"{first} and {second}"

    try:
        report = comparison.compare(one, other)
    except InterpError:
        raise
    # Two runs may each be whole and yet hold numbers that no comparison foresaw.
    except Exception as error:
        raise InterpError(
            f"the two runs cannot be compared ({type(error).__name__}: {one_line(error, 200)})"
        ) from error
    notes = [
        f"{letter}: {run.model.name}, weights {run.model.weights_sha256[:12]}, {run.model.dtype} on "
        f"{run.model.device}, run of {run.started}, key {run.key[:12]}"
        for letter, run in zip("AB", (one, other), strict=True)
    ]
    task = None
    if one.task and other.task:
        n = min(one.task.n, other.task.n)
        task = TaskFacts(both(one.task.name, other.task.name), n)
    return Result(
        experiment=comparison.COMPARE,
        question=f"What changes from A to B? {one.question}",
        model=ModelFacts(
            both(one.model.name, other.model.name),
            both(one.model.family, other.model.family),
            both(one.model.weights_sha256, other.model.weights_sha256),
            both(one.model.dtype, other.model.dtype),
            both(one.model.device, other.model.device),
            notes=notes,
        ),
        status="ok",
        report=report,
        task=task,
        method=comparison.METHOD,
        settings={"experiment": one.experiment, "A": folders[0], "B": folders[1]},
        versions=dict(other.versions),
        started=max(one.started, other.started),
        command=provenance.command(["compare", *folders]),
    )


def _below(folder: Path, out: Path) -> str:
    return str(folder.relative_to(out)) if folder.is_relative_to(out) else relative(str(folder))
