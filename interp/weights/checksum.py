"""SHA-256 of weights: of files, remembered until a file changes, and of tensors made in memory."""

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp import files
from interp.ordinary import ordinary_file
from interp.weights.zoo import cache_folder

# The coarsest clocks of file systems tick every two seconds: what changes twice within a tick looks
# unchanged.
_SECOND = 1_000_000_000
_TICK = 2 * _SECOND


def of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex; hashed anew when anything says that they may be others: its
    size, its place on the disk, or its times, of which one cannot be set back."""
    path = path.resolve()
    began, state = time.time_ns(), _state(path)
    key = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    note = cache_folder() / "checksums" / f"{key}.json"
    # A process that was killed with its note written left the folder in which it wrote it.
    files.clear(note.parent)
    if (known := _noted(note)) and known.get("state") == state:
        return str(known["sha256"])
    digest = of_file_read(path)
    coarse = all(when % _SECOND == 0 for when in state["times"])
    settled = not coarse or began - max(state["times"]) > _TICK
    if settled and _state(path) == state:
        # Where nothing can be written it is worked out again next time.
        with contextlib.suppress(OSError):
            files.write_text(note, json.dumps({"state": state, "sha256": digest}))
    return digest


def _state(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "path": str(path),
        "size": status.st_size,
        "place": [status.st_dev, status.st_ino],
        "times": [status.st_mtime_ns, status.st_ctime_ns],
    }


def of_file_read(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex, read now."""
    with ordinary_file(path).open("rb") as file:
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
    except (OSError, ValueError, RecursionError):
        return None
    return known if isinstance(known, dict) and isinstance(known.get("sha256"), str) else None
