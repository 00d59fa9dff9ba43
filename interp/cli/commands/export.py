"""`interp export MODEL FOLDER`: a model as a folder that Hugging Face's library loads."""

from pathlib import Path
from typing import Annotated

from interp import files
from interp.cli import words
from interp.cli.commands.run import Format, Revision
from interp.errors import UnavailableError, UsageError


def export(
    model: Annotated[str, words.argument("MODEL", "Short name, hub id or folder.")],
    folder: Annotated[Path, words.argument("FOLDER", "A folder that is not there yet.", Path)],
    dtype: Format = "float32",
    revision: Revision = None,
) -> None:
    """Write a model as a Hugging Face folder, of the GPT-2 or the Llama kind."""
    _free(folder)
    files.check(folder, "the folder")
    import torch

    from interp.runs import suite
    from interp.weights import exporting

    loaded = suite.load(model, dtype, "cpu", revision)
    # Before anything is written.
    exporting.family(loaded.config)
    with (
        files.writing(folder, "make room or name another folder", UnavailableError),
        files.folder(folder, wanted=lambda: _free(folder)) as fresh,
    ):
        kind = exporting.export(loaded, fresh, getattr(torch, dtype))
    print(f"written: {folder}, as {kind}")


def _free(folder: Path) -> bool:
    """True where nothing is.

    Raises  UsageError where something is, which nobody said may go.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already; name a folder that is not")
    return True
