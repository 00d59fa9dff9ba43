"""Standard output and error as this program writes to them: nothing that moves a cursor gets there,
and a stream that is full, closed or of few characters stops no work."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from interp.visible import one_line, reveal


class Stream(io.TextIOBase):
    """Writes to another stream, which is None where it was closed from the start. Characters that
    the other cannot spell are escaped. From the first write that fails on, `lost` is why and nothing
    more is written. `plain` says that control characters are spelt out."""

    def __init__(self, inner: Any, plain: bool = True) -> None:
        self.inner = inner
        self.plain = plain
        self.lost: Exception | None = None
        if isinstance(inner, io.TextIOWrapper):
            inner.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.inner, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.inner is not None and bool(self.inner.isatty())

    def fileno(self) -> int:
        if self.inner is None:
            raise io.UnsupportedOperation("fileno")
        return int(self.inner.fileno())

    def write(self, text: str) -> int:
        if self.inner is None and text:
            self.lost = self.lost or OSError("it is closed")
        # A page may hold carriage returns; a terminal would begin its line anew.
        shown = reveal(text).replace("\r", "⟨U+000D⟩") if self.plain else text
        self._keeping("write", shown)
        return len(text)

    def flush(self) -> None:
        self._keeping("flush")

    def _keeping(self, method: str, *words: str) -> None:
        if self.inner is None or self.lost is not None:
            return
        try:
            getattr(self.inner, method)(*words)
        except (OSError, ValueError) as error:
            self.lost = error
            # What still waits to be written would fail once more when the program ends.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.inner.fileno())


@contextmanager
def guarded() -> Iterator[tuple[Stream, Stream]]:
    """Inside, standard output and error are `Stream`s."""
    before = sys.stdout, sys.stderr
    streams = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = streams
    try:
        yield streams
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before


def drawable() -> Any:
    """Standard error for what moves the cursor on purpose; whoever writes to it makes foreign text
    harmless himself."""
    found = sys.stderr
    return Stream(found.inner, plain=False) if isinstance(found, Stream) else found


def complain(message: str, most: int = 580) -> None:
    """Says in one line what is wrong: on standard error, or where that is closed on standard output.
    A longer message keeps both ends: what is wrong stands in front, what to do behind."""
    if len(message) > 4 * most:
        message = f"{message[: 2 * most]} … {message[-2 * most :]}"
    line = one_line(message, 40 * most)
    if len(line) > most:
        line = f"{line[: most * 3 // 5]} … {line[3 - most * 2 // 5 :]}"
    line = f"error: {line}"
    print(line, file=sys.stderr, flush=True)
    if isinstance(sys.stderr, Stream) and sys.stderr.lost is not None:
        print(line, flush=True)


def open_all() -> None:
    """Gives numbers 0 to 2, where they are closed, to the null device: the next file that is opened
    would get them, and with it whatever a library writes to its standard error."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is the one that was just found closed.
            os.open(os.devnull, os.O_RDWR)
