"""`interp compare A B`: two runs of one experiment as one page, without a model."""

import os
from pathlib import Path
from typing import Annotated

import typer

from interp.cli.commands.run import DEFAULT_OUT, Out
from interp.cli.commands.site import registry
from interp.errors import UsageError, nearest
from interp.study.registry import shown


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
