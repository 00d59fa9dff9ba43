"""Models as this project keeps them: Hugging Face's files, and a description of our own.

The description needs no transformers to be read. It names every file with its size and its SHA-256,
so that a damaged copy is noticed.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp.errors import InterpError, UnavailableError, UsageError, brief, named
from interp.ordinary import ordinary_file
from interp.tokenizers.loading import tokenizer_in, tokenizer_of
from interp.transformer import Config, Origin, Transformer
from interp.weights import checksum
from interp.weights.families import FAMILIES
from interp.weights.files import SAFE, open_tensors, read_json
from interp.weights.reader import Checkpoint, Named, Reader, check_shapes

DESCRIPTION = "interp.json"
SCHEMA = 1
# The family of a shape that Hugging Face's library does not have: the tensors have our own names.
OWN = "own"
# What Hugging Face's library calls the weights of a classification head.
HEAD = "score.weight"
# The note about weights that were put into a folder later.
CHANGED = f"The weights are not those that the folder's {DESCRIPTION} was written with."


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
    except (InterpError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return False


def checkpoint(folder: Path, name: str) -> Checkpoint:
    """The model in this folder. Its checksum is that of the weights that lie there; where they are not
    those that the description was written with, a note says so.

    Raises  UnavailableError if the folder is damaged or of another version.
    """
    described, where = _described(folder), named(folder / DESCRIPTION)
    family = described.get("family")
    if not isinstance(family, str) or family not in (*FAMILIES, OWN):
        raise UnavailableError(
            f"{where}: the family {brief(family)} is not known; known are {', '.join(FAMILIES)}, {OWN}"
        )
    try:
        config = Config.from_dict(described.get("config"))  # type: ignore[arg-type]
    except UsageError as error:
        raise UnavailableError(f"{where}: the config cannot be used: {error}") from None
    labels, notes = _texts(described, "labels", where), _texts(described, "notes", where)
    tensors = open_tensors([ordinary_file(folder / SAFE)])

    def weights(dtype: torch.dtype, device: torch.device) -> Named:
        read = Reader(str(folder), tensors, dtype, device)
        yield from (_own if family == OWN else FAMILIES[family])(config, read)
        if labels:
            yield "head.W_C", read(HEAD, len(labels), config.d_model).T
        read.close()

    check_shapes(weights)
    sha256 = checksum.of_file(folder / SAFE)
    if sha256 != _recorded(described):
        notes = (*notes, CHANGED)
    origin = Origin(name, family, sha256, notes=notes)
    if family != OWN:
        own = tokenizer_in(folder, name)
        return Checkpoint(config, origin, weights, own, huggingface=folder, labels=labels)
    # An AutoTokenizer would look for Hugging Face's config.
    tokenizer = tokenizer_of(str(folder), name, "PreTrainedTokenizerFast")
    has_one = os.path.lexists(folder / "tokenizer.json")
    return Checkpoint(config, origin, weights, tokenizer if has_one else None)


def _own(config: Config, read: Reader) -> Named:
    # Before so many layers are built: the last of them has weights.
    read(f"blocks.{config.n_layers - 1}.attn.W_O")
    with torch.device("meta"):
        names = [name for name, _ in Transformer(config).named_parameters()]
    for name in names:
        yield name, read(name)


def _described(folder: Path) -> dict[str, Any]:
    described = read_json(folder / DESCRIPTION)
    if (version := described.get("schema_version")) != SCHEMA:
        raise UnavailableError(
            f"{named(folder / DESCRIPTION)} has schema_version {brief(version)}, "
            f"this version reads {SCHEMA}"
        )
    return described


def _texts(described: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    """A list of texts that a description may have."""
    found = described.get(name) or []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise UnavailableError(f"{where}: {name} must be a list of texts, got {brief(found)}")
    return tuple(found)


def _recorded(described: Mapping[str, Any]) -> str | None:
    """The checksum of the weights that the description was written with, if it says one."""
    files = described.get("files")
    entry = files.get(SAFE) if isinstance(files, dict) else None
    recorded = entry.get("sha256") if isinstance(entry, dict) else None
    return recorded if isinstance(recorded, str) else None
