"""`interp new-task NAME`: a file of prompts to begin with, which runs as it is."""

import re
from pathlib import Path
from typing import Annotated

import typer

from interp import files
from interp.errors import UsageError, brief, named

TEMPLATE = Path(__file__).parent.parent / "data" / "prompts.csv.txt"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")


def new_task(
    name: Annotated[str, typer.Argument(help="The file's name, such as my_prompts.")],
) -> None:
    """Begin a task: write NAME.csv, prompts with known right and wrong answers.

    It is a task that runs as it is, to change into your own; see interp tasks --format.
    """
    name = name.removesuffix(".csv")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{brief(name)} cannot be a prompt file's name; use at most 64 letters, digits, underscores "
            "and dashes, and no folder"
        )
    path = Path(f"{name}.csv")
    prompts = TEMPLATE.read_bytes()
    try:
        files.write_new(path, prompts)
    except FileExistsError:
        raise UsageError(f"{path} exists; choose another name or remove it") from None
    except OSError as error:
        raise UsageError(f"{named(path)} cannot be written: {files.reason(error)}") from None
    print(f"wrote {path}\nrun it: interp run task_check --task {path}")
