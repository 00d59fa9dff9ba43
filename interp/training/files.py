"""Model folders that a training writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interp import files
from interp.transformer import Transformer
from interp.weights import exporting, stored


def write_model(folder: Path, model: Transformer, tokenizer: Any, notes: Sequence[str]) -> None:
    """The model in this folder, loadable by its path. What says that a model is there is written
    last, so that there is never half a one."""
    with files.inside(folder, last=stored.DESCRIPTION) as fresh:
        tokenizer.save_pretrained(fresh)
        exporting.write(fresh, model, notes)
