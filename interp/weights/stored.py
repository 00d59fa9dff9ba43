"""Models as this project keeps them: Hugging Face's files, and a description of our own.

The description needs no transformers to be read. It names every file with its size and its SHA-256,
so that a damaged copy is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp.errors import InterpError, UnavailableError
from interp.transformer import Config, Origin, Transformer
from interp.weights import checksum
from interp.weights.checkpoint import Checkpoint, Named, tokenizer_in, tokenizer_of
from interp.weights.families import FAMILIES
from interp.weights.files import SAFE, open_tensors, read_json
from interp.weights.reader import Reader

DESCRIPTION = "interp.json"
SCHEMA = 1
# The family of a shape that Hugging Face's library does not have: the tensors have our own names.
OWN = "own"
# What Hugging Face's library calls the weights of a classification head.
HEAD = "score.weight"


def write(
    folder: Path,
    family: str,
    config: Config,
    tensors: Mapping[str, Tensor],
    notes: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> None:
    """Weights (under the family's Hugging Face names) and description, beside the files that
    `folder` holds already and that the description covers too."""
    from safetensors.torch import save_file

    save_file(dict(tensors), folder / SAFE, metadata={"format": "pt"})
    # safetensors writes for the owner alone; whoever may read the folder may read the weights.
    (folder / SAFE).chmod(0o644)
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": checksum.of_file_read(path)}
        for path in sorted(folder.iterdir())
    }
    description = {
        "schema_version": SCHEMA,
        "family": family,
        "notes": list(notes),
        "labels": list(labels),
        "config": config.to_dict(),
        "files": files,
    }
    text = json.dumps(description, indent=1, ensure_ascii=False)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def intact(folder: Path) -> bool:
    """Whether every file is there and is what was written; files that have not changed since they
    were last looked at are not read again."""
    try:
        files = _described(folder)["files"]
        return all(
            (folder / name).stat().st_size == known["bytes"]
            and checksum.of_file(folder / name) == known["sha256"]
            for name, known in files.items()
        )
    except (InterpError, OSError, KeyError, TypeError, AttributeError):
        return False


def checkpoint(folder: Path, name: str) -> Checkpoint:
    """The model in this folder.

    Raises  UnavailableError if the folder is damaged or of another version.
    """
    described = _described(folder)
    config, family = Config.from_dict(described["config"]), str(described["family"])
    labels = tuple(described.get("labels", ()))

    def weights(dtype: torch.dtype, device: torch.device) -> Named:
        read = Reader(str(folder), open_tensors([folder / SAFE]), dtype, device)
        yield from (_own if family == OWN else FAMILIES[family])(config, read)
        if labels:
            yield "head.W_C", read(HEAD).T
        read.close()

    sha256 = str(described["files"][SAFE]["sha256"])
    origin = Origin(name, family, sha256, notes=tuple(described["notes"]))
    if family != OWN:
        own = tokenizer_in(folder, name)
        return Checkpoint(config, origin, weights, own, huggingface=folder, labels=labels)
    # An AutoTokenizer would look for Hugging Face's config.
    tokenizer = tokenizer_of(str(folder), name, "PreTrainedTokenizerFast")
    has_one = (folder / "tokenizer.json").is_file()
    return Checkpoint(config, origin, weights, tokenizer if has_one else None)


def _own(config: Config, read: Reader) -> Named:
    with torch.device("meta"):
        names = [name for name, _ in Transformer(config).named_parameters()]
    for name in names:
        yield name, read(name)


def _described(folder: Path) -> dict[str, Any]:
    described = read_json(folder / DESCRIPTION)
    if described.get("schema_version") != SCHEMA:
        raise UnavailableError(
            f"{folder / DESCRIPTION} has schema_version {described.get('schema_version')!r}, "
            f"this version reads {SCHEMA}"
        )
    return described
