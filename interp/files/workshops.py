"""The locked folders in which files lie until they are whole, whether one can be made at a place, and in one
sentence why not."""

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interp.errors import InterpError, UsageError, named

_RUST = re.compile(r"(?P<why>[^:\s][^:\n]*\S) \(os error \d+\)")
GONE = "its folder is gone"


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


_WORKSHOP = re.compile(r"\.interp-[0-9a-f]{16}")
TRIES = 3


@contextmanager
def opened(parent: Path) -> Iterator[Path]:
    """A folder in `parent`, which is made where it is not there; locked, and gone afterwards."""
    tried: list[Path] = []
    lock = None
    try:
        while lock is None:
            if len(tried) == TRIES:
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
            put_back(workshop / "old", workshop.parent)
            shutil.rmtree(workshop, ignore_errors=True)
    finally:
        os.close(lock)


def put_back(old: Path, parent: Path) -> None:
    """Moves what was moved aside to its place, where nothing has taken it."""
    if old.is_dir():
        for name in os.listdir(old):
            if not os.path.lexists(parent / name):
                os.rename(old / name, parent / name)


def clear(place: Path) -> None:
    """Removes from a folder what killed processes left in it; what they had moved aside and not yet
    replaced goes back to its place."""
    with ignored():
        for name in os.listdir(place):
            if _WORKSHOP.fullmatch(name):
                with ignored():
                    _clear(place / name)


def flush(place: Path) -> None:
    """Has the disk hold what was written: some systems say only now that there is no room."""
    for path in [place, *place.rglob("*")] if place.is_dir() else [place]:
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextmanager
def ignored() -> Iterator[None]:
    """Inside, what the system refuses ends the block and nothing more."""
    try:
        yield
    except OSError:
        return


# Names and paths that file systems hold; `_WITHIN` is what a run adds below the folder it goes to.
_LONGEST_NAME, _LONGEST_PATH, _WITHIN = 255, 4096, 300


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
        with opened(existing) as workshop:
            (workshop / "trial").write_bytes(bytes(4096))
            flush(workshop / "trial")
    except OSError as error:
        raise UsageError(f"{sentence} cannot: {error.strerror}") from None
