"""`interp export MODEL FOLDER`: a model as a folder that Hugging Face's library loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.errors import UnavailableError, UsageError
from interp.lab.commands.run import Dtype, Format, Revision


def export(
    model: Annotated[str, typer.Argument(help="Short name, hub id or folder.")],
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    dtype: Format = Dtype.float32,
    revision: Revision = None,
) -> None:
    """Write a model as a Hugging Face folder, of the GPT-2 or the Llama kind."""
    if folder.exists():
        raise UsageError(f"{folder} is there already; name a folder that is not")
    import torch
    from safetensors import SafetensorError

    from interp.lab import suite
    from interp.weights import exporting
    from interp.weights.folders import appearing

    loaded = suite.load(model, dtype.value, "cpu", revision)
    # Before anything is written.
    exporting.family(loaded.config)
    try:
        with appearing(folder, still_wanted=lambda: not folder.exists()) as temporary:
            kind = exporting.export(loaded, temporary, getattr(torch, dtype.value))
    except (OSError, SafetensorError) as error:
        raise UnavailableError(
            f"{folder} cannot be written: {error}; make room or name another folder"
        ) from None
    print(f"written: {folder}, as {kind}")
