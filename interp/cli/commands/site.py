"""`interp render`, `interp index` and `interp compare`: pages from what is stored, without a model."""

import os
from pathlib import Path
from typing import Annotated

import typer

from interp.cli.commands.run import DEFAULT_OUT, Out
from interp.errors import InterpError, UsageError, nearest
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


def compare(
    one: Annotated[
        str, typer.Argument(metavar="A", help="A run's folder, or its path below --out.")
    ],
    other: Annotated[str, typer.Argument(metavar="B", help="The run to set beside it.")],
    out: Out = DEFAULT_OUT,
) -> None:
    """Set two runs of one experiment beside each other and write a page about it.

    Two models, two tasks, two seeds, or before and after a change of the code: keep the first run by
    giving the second one another --out.
    """
    from interp.compare.page import write_comparison
    from interp.runs import site
    from interp.runs.folders import check_out

    check_out(out)
    first, second = _folder(one, out), _folder(other, out)
    if first.resolve() == second.resolve():
        raise UsageError(f"{one} and {other} are the same run; name two")
    page, answer = write_comparison(first, second, out)
    print(f"compare: {answer}")
    print(f"compare: {shown(page.absolute())}")
    print(f"all reports: {shown(site.write_index(out, registry()).absolute())}")


def _folder(said: str, out: Path) -> Path:
    """The run that was meant: a folder, its report.html or result.json, here or below `out`.

    Raises  UsageError that lists the nearest runs.
    """
    for place in (Path(said), out / said):
        folder = place.parent if place.name in ("report.html", "result.json") else place
        if os.path.lexists(folder / "result.json"):
            return folder
    from interp.runs.folders import runs

    known = [str(folder.relative_to(out)) for folder in runs(out)] if out.is_dir() else []
    if not known:
        raise UsageError(f"{said} is no run, and {out} holds none; `interp run` makes one")
    raise UsageError(f"{said} is no run; {nearest(said, known)}")
