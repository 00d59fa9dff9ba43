"""`interp new NAME`: a study to begin with, which runs as it is."""

import keyword
from pathlib import Path
from typing import Annotated

import typer

from interp import files
from interp.errors import UsageError
from interp.study.registry import folder, shown

TEMPLATE = Path(__file__).parent.parent / "data" / "study.py.txt"


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
    path = _place() / f"{name}.py"
    try:
        files.write_new(path, TEMPLATE.read_bytes().replace(b"STUDY", name.encode()))
    except FileExistsError:
        raise UsageError(f"{shown(path)} exists; choose another name or remove it") from None
    except OSError as error:
        raise UsageError(f"{shown(path)} cannot be written: {files.reason(error)}") from None
    print(f"wrote {shown(path)}\nrun it: interp run {name}")


def _place() -> Path:
    """The experiments folder; where there is none at all, a new one here."""
    try:
        return folder()
    except UsageError:
        return Path("experiments").resolve()
