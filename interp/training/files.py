"""Model folders and notes that a training writes, each whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interp.errors import InterpError
from interp.transformer import Transformer
from interp.weights import exporting, stored


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Inside, what goes wrong in writing is one sentence.

    Raises  InterpError if the disk is full or the folder cannot be written to.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise InterpError(
            f"{folder} cannot be written: {error}; make room and repeat the command: it goes on "
            "from the last state that was written"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old text or the new one."""
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        try:
            fresh.write_text(text, encoding="utf-8")
            os.replace(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)


def write_model(folder: Path, model: Transformer, tokenizer: Any, notes: Sequence[str]) -> None:
    """The model in this folder, loadable by its path. What says that a model is there is written
    last, so that there is never half a one."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".model-", dir=folder))
    try:
        tokenizer.save_pretrained(temporary)
        exporting.write(temporary, model, notes)
        names = sorted(file.name for file in temporary.iterdir())
        for name in sorted(names, key=lambda name: name == stored.DESCRIPTION):
            os.replace(temporary / name, folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
