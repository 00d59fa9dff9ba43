"""Where runs lie on disk."""

import os
import re
from pathlib import Path

from interp import files
from interp.errors import UsageError
from interp.runs.key import checksum

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
# What makes a folder a run, so many folders down: model, task, experiment.
RESULT, _DEPTH = "result.json", 3


def folder_name(name: str) -> str:
    """A name as the name of one folder: `org/model` becomes `org--model`; whatever else is no plain
    name is cut to its plain characters and ends in a checksum that keeps it apart from others.
    """
    flat = name.replace("/", "--") if name.count("/") == 1 else name
    if _PLAIN.fullmatch(flat):
        return flat
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).name).strip("-")[:40] or "unnamed"
    return f"{plain}-{checksum(name.encode())[:8]}"


def check_out(out: Path) -> None:
    """Passes if runs and their index can be written below `out`, which need not exist yet.

    Raises  UsageError saying what stands in the way.
    """
    files.check(out, "--out")
    if (out / "index.html").is_dir():
        raise UsageError(f"--out must be a folder of reports, and {out / 'index.html'} is a folder")


def check_run(target: Path) -> None:
    """Passes if a run can take the place of what is at `target`.

    Raises  UsageError saying what stands in the way.
    """
    files.check(target.parent, "the run's folder")
    files.check(target, "the run's folder")


def runs(out: Path) -> list[Path]:
    """The folders of all runs below `out`, in order of their names."""
    return survey(out)[0]


def survey(out: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The folders of all runs below `out` in order of their names, and the folders that cannot be
    looked into, with the reason. A run is known by its result, readable or not."""
    places, closed = [out], []
    for _ in range(_DEPTH):
        inner: list[Path] = []
        for place in places:
            try:
                names = sorted(os.listdir(place))
            except OSError as error:
                closed.append((place, files.reason(error)))
                continue
            inner += [place / name for name in names if _may_be_entered(place / name)]
        places = inner
    return [place for place in places if _holds_a_result(place, closed)], closed


def _may_be_entered(place: Path) -> bool:
    return not place.name.startswith(".") and place.is_dir()


def _holds_a_result(place: Path, closed: list[tuple[Path, str]]) -> bool:
    try:
        return RESULT in os.listdir(place)
    except OSError as error:
        closed.append((place, files.reason(error)))
        return False
