"""Where runs lie on disk, and the name under which a file of prompts has its reports: its own, unless another
file of that name has them there already.

A run keeps a mark of where its file lies, as seen from the reports folder. A folder of reports is
another file's if it holds a run of another mark and of other prompts. Of two files of one name the
first is `prompts.csv`, and the second `prompts-<its mark>.csv`, whatever is run when; names that
differ in case alone count as one, since some file systems hold no two such folders.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from interp import files
from interp.errors import UsageError
from interp.rows import KINDS
from interp.runs.key import Key, checksum, stored
from interp.tasks import Task

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
            inside = [place / name for name in names if not name.startswith(".")]
            inner += [each for each in inside if each.is_dir()]
        places = inner
    return [place for place in places if _holds_a_result(place, closed)], closed


def _holds_a_result(place: Path, closed: list[tuple[Path, str]]) -> bool:
    try:
        return RESULT in os.listdir(place)
    except OSError as error:
        closed.append((place, files.reason(error)))
        return False


def file_mark(task: str | None, out: Path) -> str:
    """What tells the file that --task names from others of its name; empty if it names none."""
    if task is None or Path(task).suffix.lower() not in KINDS:
        return ""
    place = os.path.relpath(os.path.realpath(task), os.path.realpath(out))
    return checksum(os.fsencode(place))[:8]


def prompts_checksum(task: Task | None) -> str:
    """The SHA-256 of the task's prompts as their table has them."""
    return checksum(task.frame().to_csv(index=False).encode() if task else b"")


def named_apart(task: Task, mark: str, place: Path) -> Task:
    """The task under a name of its own among those whose reports lie in `place`, a model's folder."""
    stem, dot, kind = task.name.rpartition(".")
    apart = f"{stem}-{mark}{dot}{kind}"
    if (place / folder_name(apart)).is_dir() or anothers(task, mark, place):
        return replace(task, name=apart)
    return task


def anothers(task: Task, mark: str, place: Path) -> bool:
    """True if the folder that the task's name has in `place` is another file's."""
    name = folder_name(task.name)
    keys = {folder.name: _keys(folder) for folder in _alike(place, name)}
    prompts = prompts_checksum(task)

    def foreign(key: Key) -> bool:
        return key.file not in ("", mark) and key.parts.get("prompts") != prompts

    own = keys.get(name, [])
    if any(key.file == mark for key in own):
        return any(map(foreign, own))
    return any(foreign(key) for each in keys.values() for key in each)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Inside, no other process that asks for it writes below `out`, which is made if it is not there,
    and removed where it stays empty. Where a file system has no locks, nothing is locked."""
    made = not out.exists()
    lock = None
    try:
        with contextlib.suppress(OSError):
            out.mkdir(parents=True, exist_ok=True)
            lock = os.open(out, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        if lock is not None:
            os.close(lock)
        if made:
            with contextlib.suppress(OSError):
                out.rmdir()


def _alike(place: Path, name: str) -> list[Path]:
    try:
        return [place / each for each in os.listdir(place) if each.casefold() == name.casefold()]
    except OSError:
        return []


def _keys(folder: Path) -> list[Key]:
    try:
        found = [stored(folder / each) for each in os.listdir(folder)]
    except OSError:
        return []
    return [key for key in found if key is not None]
