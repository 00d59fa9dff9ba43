"""The reports folder as a site: every run's page, and the index over them."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from interp import files, ordinary
from interp.errors import InterpError, UsageError
from interp.report import render, store
from interp.report.result import Result
from interp.runs.folders import survey
from interp.study.registry import Registry
from interp.visible import one_line, placeless


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
