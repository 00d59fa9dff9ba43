"""How far a run is: a bar on a terminal, a plain line every ten seconds anywhere else."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
_EVERY_SECONDS = 10.0


class Watch:
    """What is being done now, how far it is, how fast, and since when."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.started = self.step_started = time.monotonic()
        self.step_name = ""
        self.done = 0
        self.total: int | None = None

    def step(self, name: str, total: int | None = None) -> None:
        """From now on this is being done."""
        self.step_name, self.done, self.total = name, 0, total
        self.step_started = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count

    def reach(self, name: str, done: int, total: int) -> None:
        """So many of this are done; it began when it was first said to be."""
        if (name, total) != (self.step_name, self.total) or done < self.done:
            self.step(name, total)
        self.done = done

    @property
    def finished(self) -> bool:
        """Whether all of the step is done; what is being done since then has no name."""
        return self.total is not None and self.done >= self.total

    @property
    def doing(self) -> str:
        """The step and how far it is, in words."""
        if self.total is not None:
            return f"{self.step_name} {self.done} of {self.total}".strip()
        return f"{self.step_name} {self.done}".strip() if self.done else self.step_name

    @property
    def pace(self) -> str:
        """How fast the step goes and how long it will take, in words; empty where nobody can know."""
        took = time.monotonic() - self.step_started
        if not self.total or not self.done or self.finished or took < 1:
            return ""
        rate = self.done / took
        speed = f"{rate:.3g}/s" if rate >= 1 else f"{1 / rate:.3g} s each"
        return f"{speed}, {duration((self.total - self.done) / rate)} left"

    def __str__(self) -> str:
        doing = f"computing, after {self.step_name}".strip(", ") if self.finished else self.doing
        since = f"{time.monotonic() - self.started:.0f} s"
        return f"{self.label}: {', '.join(filter(None, [doing, self.pace, since]))}"


def duration(seconds: float) -> str:
    """Minutes and seconds, in words."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


def progress(items: Iterable[Item], label: str = "", total: int | None = None) -> Iterator[Item]:
    """The same items, counted on the way: `for layer in progress(range(n_layers), "layers")`.

    Outside a run, in a notebook or a test, nothing is shown.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    watch = meter(label, total)
    for item in items:
        yield item
        watch.advance()


def meter(label: str, total: int | None = None) -> Watch:
    """The same for work that is no loop over items: call its `advance(count)` as work gets done."""
    watch = _watch.get() or Watch("")
    watch.step(label, total)
    return watch


def reach(done: int, total: int, label: str) -> None:
    """The same for work that says how far it is: begun anew where less is done than before."""
    (_watch.get() or Watch("")).reach(label, done, total)


@contextmanager
def watching(label: str) -> Iterator[Watch]:
    """Shows on standard error what is being done while the body runs."""
    watch = Watch(label)
    token = _watch.set(watch)
    stop = threading.Event()
    show = _show_bar if sys.stderr.isatty() else _show_lines
    thread = threading.Thread(target=show, args=(watch, stop), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
        _watch.reset(token)


def _show_lines(watch: Watch, stop: threading.Event) -> None:
    while not stop.wait(_EVERY_SECONDS):
        print(watch, file=sys.stderr, flush=True)


def _show_bar(watch: Watch, stop: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from interp.streams import drawable, guarded
    from interp.visible import one_line

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=drawable()), transient=True) as bar, guarded():
        task = bar.add_task(watch.label, total=None, pace="")
        while not stop.wait(0.1):
            # A bar that is full says nothing any more: what comes after it is no share of it.
            total = None if watch.finished else watch.total
            doing = f"computing, after {watch.step_name}" if watch.finished else watch.doing
            text = one_line(f"{watch.label}: {doing}")
            bar.update(task, description=text, completed=watch.done, total=total, pace=watch.pace)
