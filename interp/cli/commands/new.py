"""`interp new NAME` and `interp new-task NAME`: a study or prompts to begin with, which run as they are."""

import keyword
import re
from pathlib import Path
from typing import Annotated

import typer

from interp import files
from interp.errors import UsageError, brief
from interp.study.registry import folder, shown

_DATA = Path(__file__).parent.parent / "data"
STUDY, PROMPTS = _DATA / "study.py.txt", _DATA / "prompts.csv.txt"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")


def new(
    name: Annotated[str, typer.Argument(help="The study's name, such as my_question.")],
) -> None:
    """Begin a study: write experiments/NAME.py.

    It is a small ablation study that runs as it is, to change into your own.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii() or name == "all":
        raise UsageError(f"{name!r} cannot be a study's name; use letters, digits and underscores")
    if name.startswith("_"):
        raise UsageError(f"{name!r} begins with an underscore, and such files are left alone")
    try:
        place = folder()
    except UsageError:  # there is none at all: a new one here
        place = Path("experiments").resolve()
    _write(place / f"{name}.py", STUDY.read_bytes().replace(b"STUDY", name.encode()), name)


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
    _write(path, PROMPTS.read_bytes(), f"task_check --task {path}")


def _write(path: Path, content: bytes, run: str) -> None:
    try:
        files.write_new(path, content)
    except FileExistsError:
        raise UsageError(f"{shown(path)} exists; choose another name or remove it") from None
    except OSError as error:
        raise UsageError(f"{shown(path)} cannot be written: {files.reason(error)}") from None
    print(f"wrote {shown(path)}\nrun it: interp run {run}")
