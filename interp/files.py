"""The one way to write a file or a folder: it is there whole, or it is not there.

What is written lies first in a workshop beside its place, a folder `.interp-<random>`, and moves to its
place in one step. A workshop is locked as long as its writer lives: what a killed process left is
known by that, whatever its number was, and goes with the next write beside it. Where a file system has
no locks, left-overs stay.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from interp.errors import InterpError, UsageError, named

_WORKSHOP = re.compile(r"\.interp-[0-9a-f]{16}")
_RUST = re.compile(r"(?P<why>[^:\s][^:\n]*\S) \(os error \d+\)")
GONE = "its folder is gone"
_TRIES = 3
# Names and paths that file systems hold; `_WITHIN` is what a run adds below the folder it goes to.
_LONGEST_NAME, _LONGEST_PATH, _WITHIN = 255, 4096, 300


@contextmanager
def writing(place: Path, advice: str, kind: type[InterpError] = InterpError) -> Iterator[None]:
    """Inside, what goes wrong in writing to `place` is one sentence that ends in the advice.

    Raises  `kind` if the disk is full, the folder is not to be written to or was removed meanwhile.
    """
    try:
        yield
    except Exception as error:
        if not is_of_the_system(error):
            raise
        raise kind(f"{named(place)} cannot be written: {reason(error)}; {advice}") from None


def is_of_the_system(error: BaseException) -> bool:
    """Whether it says that a file could not be written or read: an OSError, or what libraries written
    in Rust make of one."""
    return isinstance(error, OSError) or _RUST.search(str(error)) is not None


def reason(error: BaseException) -> str:
    """Why a file could not be read or written, in a few words."""
    if isinstance(error, FileNotFoundError) or "(os error 2)" in str(error):
        return GONE
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if found := _RUST.search(str(error)):
        return found["why"]
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


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
        with _workshop(target.parent) as workshop:
            fresh = workshop / "new" / target.name
            fresh.mkdir(parents=True)
            yield fresh
            if wanted():
                _flush(fresh)
                names = _names(fresh)
                _exchange(fresh, target, workshop / "old")
                # Whoever removes the folder above goes on in what has just moved.
                if _names(target) != names:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target))
    except BaseException:
        for place in made:
            with _ignored():
                place.rmdir()
        raise


@contextmanager
def file(target: Path) -> Iterator[Path]:
    """A path to write to, by whatever means: the file takes the place of `target` when the body ends
    well. Whoever reads finds the old file or the new one."""
    with _workshop(target.parent) as workshop:
        fresh = workshop / target.name
        yield fresh
        _flush(fresh)
        os.replace(fresh, target)


@contextmanager
def inside(target: Path, last: str) -> Iterator[Path]:
    """An empty folder whose files move into the folder `target` when the body ends well, beside what
    is there already. The file `last` says that the others belong together: its old self goes before
    any of them moves, and the new one comes after all."""
    with _workshop(target) as workshop:
        fresh = workshop / "new"
        fresh.mkdir()
        yield fresh
        _flush(fresh)
        if (target / last).exists():
            os.rename(target / last, workshop / last)
        for name in sorted(os.listdir(fresh), key=lambda name: (name == last, name)):
            os.replace(fresh / name, target / name)


def write_text(target: Path, text: str) -> None:
    """Writes a file of UTF-8 with the line ends that the text has."""
    write_bytes(target, text.encode())


def write_bytes(target: Path, data: bytes) -> None:
    """Writes a file; once more where its folder is removed meanwhile."""
    for tries in range(_TRIES):
        try:
            with file(target) as fresh:
                fresh.write_bytes(data)
            return
        except FileNotFoundError:
            if tries == _TRIES - 1:
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
    with _ignored(), _workshop(target.parent) as workshop:
        (workshop / "new").mkdir()
        os.rename(target, workshop / "new" / "gone")


def clear(place: Path) -> None:
    """Removes from a folder what killed processes left in it; what they had moved aside and not yet
    replaced goes back to its place."""
    with _ignored():
        for name in os.listdir(place):
            if _WORKSHOP.fullmatch(name):
                with _ignored():
                    _clear(place / name)


def check(target: Path, what: str) -> None:
    """Passes if a folder can be written at `target`, whether or not one is there: it is tried, and
    nothing is left of that.

    Raises  UsageError saying what stands in the way; `what` is the option or the argument.
    """
    sentence = f"{what} must be a folder that can be written to, and {named(target)}"
    try:
        full = target.absolute()
        encoded = [os.fsencode(part) for part in full.parts]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{sentence} cannot: {reason(error)}") from None
    if "\0" in str(full):
        raise UsageError(f"{what} must be a folder, and a name cannot have a null character")
    if max(map(len, encoded)) > _LONGEST_NAME:
        raise UsageError(f"{sentence} has a name of more than {_LONGEST_NAME} bytes; shorten it")
    if len(os.fsencode(full)) > _LONGEST_PATH - _WITHIN:
        raise UsageError(f"{sentence} is a path of {len(os.fsencode(full)):,} bytes; shorten it")
    try:
        existing = next(place for place in (full, *full.parents) if os.path.lexists(place))
        if existing.is_symlink() and not existing.exists():
            raise UsageError(f"{sentence} cannot: {named(existing)} is a link to nothing")
        if not existing.is_dir():
            raise UsageError(f"{what} must be a folder, and {named(existing)} is a file")
        with _workshop(existing) as workshop:
            (workshop / "trial").write_bytes(bytes(4096))
            _flush(workshop / "trial")
    except OSError as error:
        raise UsageError(f"{sentence} cannot: {error.strerror}") from None


def _missing(place: Path, top: Path | None) -> Sequence[Path]:
    """The folders from `place` up to `top` that are not there."""
    if top is None:
        return ()
    above = [each for each in (place, *place.parents) if each == top or top in each.parents]
    return [each for each in above if not each.exists()]


@contextmanager
def _workshop(parent: Path) -> Iterator[Path]:
    """A folder in `parent`, which is made where it is not there; locked, and gone afterwards."""
    tried: list[Path] = []
    lock = None
    try:
        while lock is None:
            if len(tried) == _TRIES:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(parent))
            tried.append(parent / f".interp-{secrets.token_hex(8)}")
            lock = _open(tried[-1])
        yield tried[-1]
    finally:
        for place in tried:
            _gone(place)
        if lock is not None:
            os.close(lock)


def _open(place: Path) -> int | None:
    """Makes and locks a workshop; None if it was removed before that could be done."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        clear(place.parent)
        place.mkdir()
        lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    # Nobody else locks what is so young, but for the moment in which it is taken for a left-over.
    if _locked(lock) is not False and place.exists():
        return lock
    os.close(lock)
    return None


def _gone(place: Path) -> None:
    try:
        shutil.rmtree(place, ignore_errors=True)
    except KeyboardInterrupt:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _locked(lock: int) -> bool | None:
    """Whether the lock was free and is now ours; None where there are no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _clear(workshop: Path) -> None:
    lock = os.open(workshop, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if _locked(lock):
            _put_back(workshop / "old", workshop.parent)
            shutil.rmtree(workshop, ignore_errors=True)
    finally:
        os.close(lock)


def _put_back(old: Path, parent: Path) -> None:
    if old.is_dir():
        for name in os.listdir(old):
            if not os.path.lexists(parent / name):
                os.rename(old / name, parent / name)


def _exchange(fresh: Path, target: Path, old: Path) -> None:
    try:
        if os.path.lexists(target):
            old.mkdir()
            os.rename(target, old / target.name)
        os.rename(fresh, target)
    except BaseException:
        _put_back(old, target.parent)
        raise


def _names(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")}


def _flush(place: Path) -> None:
    """Has the disk hold what was written: some systems say only now that there is no room."""
    for path in [place, *place.rglob("*")] if place.is_dir() else [place]:
        if path.is_file():
            opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)


@contextmanager
def _ignored() -> Iterator[None]:
    try:
        yield
    except OSError:
        return
