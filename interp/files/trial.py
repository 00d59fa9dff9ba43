"""Whether a folder can be written at all, found out by trying."""

import os
from pathlib import Path

from interp.errors import UsageError, named
from interp.files.reasons import reason
from interp.files.workshops import flush, opened

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
