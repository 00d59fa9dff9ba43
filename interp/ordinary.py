"""Files of the user's own: ordinary ones of bounded size, read whole and in bounded memory."""

import os
import stat
from pathlib import Path

from interp.errors import UnavailableError, UsageError, named, reason

MB = 1 << 20
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
# What files begin with that hold a text in another form, and what to call it.
_FORMS = {
    b"\x1f\x8b": "compressed (gzip)",
    b"PK\x03\x04": "compressed (a zip, or a workbook)",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ\x00": "compressed (xz)",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"%PDF": "a PDF",
}


def ordinary_file(path: Path, why: str = "") -> Path:
    """This path, if an ordinary file is there.

    Raises  UnavailableError for a missing one, and for a folder, a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise UnavailableError(f"{named(path)} is missing{why}") from None
    except (OSError, ValueError) as error:  # a loop of links, a name that no file can have
        raise UnavailableError(f"{named(path)} cannot be opened: {reason(error)}") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise UnavailableError(f"{named(path)} must be an ordinary file, and is {kind}")
    return path


def data(path: Path, most: int) -> bytes:
    """The bytes of an ordinary file.

    Raises  UsageError for a file that is not there or cannot be read, for what is no ordinary file
            (nothing is read of it), and for more than `most` bytes.
    """
    try:
        size = _size(path, os.stat(path))
        if size <= most:
            # Should a pipe have taken its place, opening it does not wait.
            with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
                _size(path, os.fstat(file.fileno()))
                found = file.read(most + 1)
            size = len(found)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read {named(path)}: {why}") from None
    if size > most:
        raise UsageError(
            f"{named(path)} is larger than the {most // MB} MB that are read; split it"
        )
    return found


def text(path: Path, most: int) -> str:
    """The text of an ordinary file in UTF-8, without its byte order mark.

    Raises  UsageError for what `data` refuses, and for what is no text in UTF-8.
    """
    return decoded(data(path, most), path)


def decoded(read: bytes, path: Path, zeros: bool = False) -> str:
    """These bytes of the file as the text that they are in UTF-8; bytes of `zeros` betray binary data
    unless said otherwise.

    Raises  UsageError, saying what they are instead where that is known.
    """
    if form := next((form for mark, form in _FORMS.items() if read.startswith(mark)), None):
        raise UsageError(
            f"cannot read {named(path)}: it is not UTF-8 text but {form}; save it as UTF-8 text"
        )
    if not zeros and (zero := read.find(0)) >= 0:
        raise UsageError(
            f"{named(path)} is no text: byte {zero} is zero, as in UTF-16 or in binary data; "
            "save it as UTF-8 text"
        )
    try:
        return read.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{named(path)} is not UTF-8: byte {error.start} cannot be read; save it as UTF-8"
        ) from None


def _size(path: Path, status: os.stat_result) -> int:
    """The size of an ordinary file."""
    for is_so, what in _KINDS.items():
        if is_so(status.st_mode):
            raise UsageError(
                f"cannot read {named(path)}: it is {what}, and an ordinary file is expected"
            )
    return status.st_size
