"""Times and memory of things done in turn in one process."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

Work = Callable[[], object]


def interleaved(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Median seconds of each, after one round that does not count; all take turns, so that whatever
    else the machine does falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if turn:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in times.items()}


@dataclass
class Peak:
    """The most memory that the process held inside a `peak_memory` block, above what it held before."""

    bytes: int = 0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Samples the process's own memory (file-mapped weights left out) every few milliseconds."""
    process, peak, stop = psutil.Process(), Peak(), threading.Event()
    before = _own(process)

    def watch() -> None:
        while not stop.wait(0.005):
            peak.bytes = max(peak.bytes, _own(process) - before)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        peak.bytes = max(peak.bytes, _own(process) - before)


def _own(process: psutil.Process) -> int:
    memory = process.memory_info()
    return int(memory.rss - memory.shared)
