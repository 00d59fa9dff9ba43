"""The reports folder as a site: every run's page, the index over them, and comparisons of two."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

from interp import files, ordinary
from interp.errors import InterpError, UsageError
from interp.lab import comparison, provenance
from interp.lab.folders import folder_name, survey
from interp.lab.key import checksum
from interp.lab.registry import Registry
from interp.report import render, store
from interp.report.result import ModelFacts, Result, TaskFacts
from interp.visible import one_line, placeless, relative

COMPARISONS = "comparisons"


def redraw(folder: Path) -> bool:
    """Draws the page of a run from what is stored; True if it now looks different.

    Raises  InterpError if the folder holds no readable run, or its page cannot be written.
    """
    result = store.load(folder)
    try:
        page = render.page(result).encode()
    # What a stranger's numbers do to a drawing nobody foresees.
    except Exception as error:
        raise InterpError(
            f"the page cannot be drawn ({type(error).__name__}: {one_line(error, 200)}); "
            "run the experiment again"
        ) from error
    path = folder / "report.html"
    # What is no page of ours, such as a pipe or a folder, is not read.
    with contextlib.suppress(UsageError):
        if ordinary.data(path, len(page)) == page:
            return False
    with files.writing(path, "make room and repeat the command"):
        files.write_bytes(path, page)
    return True


def write_index(
    out: Path, registry: Registry | None, coming: Sequence[tuple[str, str]] = ()
) -> Path:
    """Writes `index.html` over all runs below `out` and returns its path. `coming` are the names and
    questions of what is about to run.

    Runs that cannot be read and files that are no studies are listed with their error, studies
    that were not run yet with the command that runs them. What killed processes left goes.

    Raises  InterpError if it cannot be written.
    """
    folders, closed = survey(out)
    for place in {out, *(above for each in folders for above in (each.parent, each.parents[1]))}:
        files.clear(place)
    found: list[Result] = []
    broken = [(str(place.relative_to(out)), why) for place, why in closed]
    for folder in folders:
        try:
            found.append(store.load(folder))
        except InterpError as error:
            broken.append(
                (str(folder.relative_to(out)), placeless(str(error).replace(f"{out}/", "")))
            )
    missing: list[tuple[str, str, str]] = []
    if registry is not None:
        known = {result.experiment for result in found} | {name for name, _ in coming}
        missing = [
            (study.name, study.question, f"interp run {study.name}")
            for study in registry.studies.values()
            if study.name not in known
        ]
        broken += [(f"experiments/{file.path.name}", file.error) for file in registry.broken]
    index = out / "index.html"
    with files.writing(index, "make room and write it with `interp index`"):
        files.write_text(index, render.index(found, missing, broken, coming))
    return index


def write_comparison(first: Path, second: Path, out: Path) -> tuple[Path, str]:
    """Writes the page that compares the runs in two folders; returns its path and what it says.

    It is a run like any other, kept below `out`: the index lists it, `render` draws it again.

    Raises  UsageError if the two cannot be compared, InterpError if one cannot be read.
    """
    one, other = store.load(first), store.load(second)
    result = _comparison(one, other, [_below(first, out), _below(second, out)])
    names = (re.sub(r"[^A-Za-z0-9.]+", "-", name) for name in comparison.labels(one, other))
    mark = checksum("\n".join([str(first.resolve()), str(second.resolve())]).encode())[:8]
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
