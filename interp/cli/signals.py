"""A request to end is answered like Ctrl-C: what was begun is tidied up, and the program says so."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A shell counts a program that a signal ended from here.
SIGNALLED = 128
_PATIENCE_SECONDS = 3.0


class Interruption:
    """The signal that came, if one did."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._raised = 0.0

    @property
    def code(self) -> int:
        """The exit code of a program that was interrupted: 130 for Ctrl-C, 143 for SIGTERM."""
        return SIGNALLED + (self.signal or signal.SIGINT)

    def __call__(self, number: int, _: FrameType | None) -> None:
        first, self.signal = self.signal is None, self.signal or number
        now = time.monotonic()
        # Tidying up is not cut short by whoever asks twice.
        if first or now - self._raised > _PATIENCE_SECONDS:
            self._raised = now
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Inside, Ctrl-C, SIGTERM and the end of the terminal raise KeyboardInterrupt."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What was ignored from outside, as by nohup, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, interruption)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
