"""The command `interp`: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import interp
from interp.errors import InterpError
from interp.lab.commands import (
    catalogue,
    compare,
    doctor,
    export,
    finetune,
    new,
    run,
    site,
    train,
)

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
app.command("compare")(compare.compare)
app.command("train")(train.train)
app.command("finetune")(finetune.finetune)
app.command("export")(export.export)
app.command("new")(new.new)
app.command("doctor")(doctor.doctor)

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
    try:
        code = app(args=words, standalone_mode=False)
        if code == INTERRUPTED:
            return _complain("interrupted; the same command goes on from what is stored", code)
        return code if isinstance(code, int) else 0
    except InterpError as error:
        return _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        return _complain(error.format_message(), getattr(error, "exit_code", 2))
    except BrokenPipeError:
        # Whoever read the output has gone; nothing may be written any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _complain(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
