"""Why a file could not be written or read, in one sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interp.errors import InterpError, named

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
