"""`interp render` and `interp index`: pages from what is stored, without a model."""

import os
from pathlib import Path
from typing import Annotated

import typer

from interp.cli.commands.run import DEFAULT_OUT, Out
from interp.errors import InterpError, UsageError
from interp.study.registry import Registry, discover, shown
from interp.visible import one_line


def render(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER…", help="Runs; all of them if not said.")
    ] = None,
    out: Out = DEFAULT_OUT,
) -> None:
    """Draw the pages of stored runs again."""
    from interp.runs import site
    from interp.runs.folders import runs

    _check(out)
    chosen = folders or runs(out)
    for folder in chosen:
        if not os.path.lexists(folder / "result.json"):
            raise UsageError(f"{folder} is no run: it holds no result.json")
    failed = 0
    for folder in chosen:
        try:
            print(f"{folder / 'report.html'}: {'drawn' if site.redraw(folder) else 'unchanged'}")
        except InterpError as error:
            failed += 1
            print(f"{folder}: {one_line(error)}")
    print(f"index: {site.write_index(out, registry())}")
    if failed:
        raise InterpError(f"{failed} of {len(chosen)} runs could not be drawn")


def index(out: Out = DEFAULT_OUT) -> None:
    """Write the index over all stored runs."""
    from interp.runs import site

    _check(out)
    print(shown(site.write_index(out, registry()).absolute()))


def _check(out: Path) -> None:
    from interp.runs.folders import check_out

    if not out.is_dir():
        raise UsageError(f"there is no reports folder {str(out)!r}; `interp run all` makes one")
    check_out(out)


def registry() -> Registry | None:
    """The studies, for what was not run yet; reports can be read where there are none."""
    try:
        return discover()
    except UsageError:
        return None
