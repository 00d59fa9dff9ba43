"""The command `interp`: its commands, and the one place where errors become exit codes."""

import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

import interp
from interp import streams
from interp.cli.commands import (
    catalogue,
    export,
    finetune,
    new,
    run,
    site,
    train,
)
from interp.errors import InterpError
from interp.files import reason
from interp.visible import one_line

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


app = typer.Typer(
    name="interp",
    help="Ask how a language model does something, and read the report.",
    epilog="Exit codes: 0 ok, 1 a study failed (its report says how), 2 usage, "
    "3 a model or data that is not to be had.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("list")(catalogue.list_studies)
app.command("models")(catalogue.models)
app.command("tasks")(catalogue.tasks)
app.command("run", context_settings=run.CONTEXT, add_help_option=False)(run.run)
app.command("render")(site.render)
app.command("index")(site.index)
app.command("compare")(site.compare)
app.command("train")(train.train)
app.command("finetune")(finetune.finetune)
app.command("export")(export.export)
app.command("new")(new.new)
app.command("new-task")(new.new_task)
app.command("doctor")(catalogue.doctor)

# What typer makes of Ctrl-C.
INTERRUPTED = 130


@app.callback(invoke_without_command=True)
def _begin(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(interp.__version__)
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; what goes wrong is said in one sentence."""
    streams.open_all()
    # The bars of other libraries would come between our own; they are read when these are imported.
    for name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")
    with interruptible() as interruption:
        try:
            with streams.guarded() as (out, _):
                code = _run(words, interruption)
                out.flush()
                # A reader who has gone wants no more, and no word about it.
                if out.lost is not None and not isinstance(out.lost, BrokenPipeError):
                    streams.complain(f"standard output cannot be written: {reason(out.lost)}")
                    code = code or 1
                return code
        except KeyboardInterrupt:
            return interruption.code


def _run(words: Sequence[str] | None, interruption: Interruption) -> int:
    try:
        code = app(args=words, standalone_mode=False)
        if code != INTERRUPTED:
            return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        pass
    except InterpError as error:
        return _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        return _complain(error.format_message(), getattr(error, "exit_code", 2))
    except MemoryError:
        return _complain("there is not enough memory for this; ask for less at once", 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{reason(error)}", 1)
    except Exception as error:
        return _complain(_fault(error), 1)
    return _complain("interrupted; the same command goes on from what is stored", interruption.code)


def _fault(error: Exception) -> str:
    """An error that nobody foresaw, with the line of this project that it came from."""
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(Path(interp.__file__).parent)
    ]
    where = f" in {Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
    return (
        f"a fault of this program{where}: {type(error).__name__}: {one_line(error)}; nothing that was "
        "stored before is lost"
    )


def _complain(message: str, code: int) -> int:
    streams.complain(message)
    return code
