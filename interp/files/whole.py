"""Files and folders that are there whole, or not at all."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from interp.files.workshops import TRIES, flush, ignored, opened, put_back


@contextmanager
def folder(
    target: Path, top: Path | None = None, wanted: Callable[[], bool] = lambda: True
) -> Iterator[Path]:
    """An empty folder that takes the place of `target` when the body ends well and it is still
    `wanted`; what stood there before is gone then.

    If the body does not end well `target` is as it was, and folders that were made on the way, `top`
    and below, are gone.
    """
    made = _missing(target.parent, top)
    try:
        with opened(target.parent) as workshop:
            fresh = workshop / "new" / target.name
            fresh.mkdir(parents=True)
            yield fresh
            if wanted():
                flush(fresh)
                names = _names(fresh)
                _exchange(fresh, target, workshop / "old")
                # Whoever removes the folder above goes on in what has just moved.
                if _names(target) != names:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target))
    except BaseException:
        for place in made:
            with ignored():
                place.rmdir()
        raise


@contextmanager
def file(target: Path) -> Iterator[Path]:
    """A path to write to, by whatever means: the file takes the place of `target` when the body ends
    well. Whoever reads finds the old file or the new one."""
    with opened(target.parent) as workshop:
        fresh = workshop / target.name
        yield fresh
        flush(fresh)
        os.replace(fresh, target)


@contextmanager
def inside(target: Path, last: str) -> Iterator[Path]:
    """An empty folder whose files move into the folder `target` when the body ends well, beside what
    is there already. The file `last` says that the others belong together: its old self goes before
    any of them moves, and the new one comes after all."""
    with opened(target) as workshop:
        fresh = workshop / "new"
        fresh.mkdir()
        yield fresh
        flush(fresh)
        if (target / last).exists():
            os.rename(target / last, workshop / last)
        for name in sorted(os.listdir(fresh), key=lambda name: (name == last, name)):
            os.replace(fresh / name, target / name)


def write_text(target: Path, text: str) -> None:
    """Writes a file of UTF-8 with the line ends that the text has."""
    write_bytes(target, text.encode())


def write_bytes(target: Path, data: bytes) -> None:
    """Writes a file; once more where its folder is removed meanwhile."""
    for tries in range(TRIES):
        try:
            with file(target) as fresh:
                fresh.write_bytes(data)
            return
        except FileNotFoundError:
            if tries == TRIES - 1:
                raise


def write_new(target: Path, data: bytes) -> None:
    """Writes a file where none is.

    Raises  FileExistsError where one is.
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    write_bytes(target, data)


def remove(target: Path) -> None:
    """Removes a folder: whoever looks finds it whole or not at all. What cannot go stays."""
    if not os.path.lexists(target):
        return
    with ignored(), opened(target.parent) as workshop:
        (workshop / "new").mkdir()
        os.rename(target, workshop / "new" / "gone")


def _missing(place: Path, top: Path | None) -> Sequence[Path]:
    """The folders from `place` up to `top` that are not there."""
    if top is None:
        return ()
    above = [each for each in (place, *place.parents) if each == top or top in each.parents]
    return [each for each in above if not each.exists()]


def _exchange(fresh: Path, target: Path, old: Path) -> None:
    try:
        if os.path.lexists(target):
            old.mkdir()
            os.rename(target, old / target.name)
        os.rename(fresh, target)
    except BaseException:
        put_back(old, target.parent)
        raise


def _names(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")}
