"""The reports folder as a site: every run's page, the index over them, and comparisons of two."""

from __future__ import annotations

import re
from pathlib import Path

from interp.errors import InterpError
from interp.lab import comparison, provenance
from interp.lab.folders import folder_name, replacing, runs, write_whole
from interp.lab.key import checksum
from interp.lab.registry import Registry, shown
from interp.report import render, store
from interp.report.result import ModelFacts, Result, TaskFacts

COMPARISONS = "comparisons"


def redraw(folder: Path) -> bool:
    """Draws the page of a run from what is stored; True if it now looks different.

    Raises  InterpError if the folder holds no readable run.
    """
    page = render.page(store.load(folder))
    path = folder / "report.html"
    if path.is_file() and path.read_text(encoding="utf-8") == page:
        return False
    write_whole(path, page)
    return True


def write_index(out: Path, registry: Registry | None) -> Path:
    """Writes `index.html` over all runs below `out` and returns its path.

    Runs that cannot be read and files that are no studies are listed with their error, studies
    that were not run yet with the command that runs them.
    """
    found: list[Result] = []
    broken: list[tuple[str, str]] = []
    for folder in runs(out):
        try:
            found.append(store.load(folder))
        except InterpError as error:
            broken.append((str(folder.relative_to(out)), str(error)))
    missing: list[tuple[str, str, str]] = []
    if registry is not None:
        known = {result.experiment for result in found}
        missing = [
            (study.name, study.question, f"interp run {study.name}")
            for study in registry.studies.values()
            if study.name not in known
        ]
        broken += [(shown(file.path), file.error) for file in registry.broken]
    out.mkdir(parents=True, exist_ok=True)
    index = out / "index.html"
    write_whole(index, render.index(found, missing, broken))
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
    with replacing(target, out) as folder:
        store.save(folder, result)
    return target / "report.html", result.answer


def _comparison(one: Result, other: Result, folders: list[str]) -> Result:
    def both(first: str, second: str) -> str:
        return first if first == second else f"{first} and {second}"

    report = comparison.compare(one, other)
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
    return str(folder.relative_to(out)) if folder.is_relative_to(out) else str(folder)
