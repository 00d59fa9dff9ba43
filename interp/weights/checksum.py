"""SHA-256 of weights: of files, remembered until a file changes, and of tensors made in memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from interp import files
from interp.weights.folders import cache_folder


def of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex; hashed anew only when its size or time has changed."""
    path = path.resolve()
    status = path.stat()
    state = [str(path), status.st_size, status.st_mtime_ns]
    key = hashlib.sha256(str(path).encode()).hexdigest()[:24]
    note = cache_folder() / "checksums" / f"{key}.json"
    if (known := _noted(note)) and known.get("state") == state:
        return str(known["sha256"])
    digest = of_file_read(path)
    _note(note, {"state": state, "sha256": digest})
    return digest


def of_file_read(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex, read now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_files(paths: Sequence[Path]) -> str:
    """One SHA-256 for a model: its only file's own, or that of all its files' names and sums."""
    if len(paths) == 1:
        return of_file(paths[0])
    lines = [f"{of_file(path)}  {path.name}\n" for path in sorted(paths)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of names, shapes, types and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _noted(note: Path) -> dict[str, object] | None:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) else None


def _note(note: Path, known: Mapping[str, object]) -> None:
    """Remembers a checksum; where nothing can be written it is worked out again next time."""
    with contextlib.suppress(OSError):
        files.write_text(note, json.dumps(known))
