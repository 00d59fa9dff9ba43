"""Finished chunks of a sweep on disk, so that a sweep that was cut off goes on with the same numbers."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from interp import files
from interp.edits import edits_digest
from interp.engine.plan import Part
from interp.transformer import Transformer
from interp.transformer.packing import packed_weights


class Checkpoint:
    """The folder of one slice of a sweep. Chunks belong to one plan: the same weights (packed or not),
    prompts, interventions, metric, cutting into chunks and number of threads, under which numbers
    repeat bit by bit."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder / key[:32]
        # Why chunks are no longer kept.
        self.lost = ""

    def load(self, name: str, like: Tensor) -> Tensor | None:
        """The effects of a chunk `[intervention example]` that was finished before, of this shape and
        type, or None."""
        path = self._path(name)
        if not path.is_file():
            return None
        try:
            effects = load_file(path)["effects"]
        except (SafetensorError, KeyError, OSError):
            return None
        fitting = effects.shape == like.shape and effects.dtype is like.dtype
        return effects.to(like.device) if fitting else None

    def save(self, name: str, effects: Tensor) -> None:
        """Keeps a chunk's effects; the file is there whole or not at all. What cannot be kept does not
        stop the sweep: `lost` says why, and nothing more is kept."""
        if self.lost:
            return
        try:
            with files.file(self._path(name)) as fresh:
                save_file({"effects": effects.contiguous().cpu()}, fresh)
        except (OSError, SafetensorError) as error:
            self.lost = files.reason(error)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"


def sweep_key(model: Transformer, part: Part) -> str:
    """A digest of everything that the numbers of a slice of a sweep depend on."""
    base, digest = part.base, hashlib.sha256()
    facts = (
        model.origin.weights_sha256,
        str(model.dtype),
        str(model.device),
        torch.__version__,
        torch.get_num_threads(),
        type(base.metric).__name__,
        sorted(packed_weights(model)),
        [[(job.number, job.examples.tolist()) for job in chunk] for chunk in part.chunks],
    )
    digest.update(repr(facts).encode())
    columns = base.metric.columns
    tensors = [base.tokens, base.real, base.read, base.resid_post, base.value]
    tensors += [] if columns is None else [columns]
    for tensor in tensors:
        digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    # Python functions have no contents to compare; they are run anew, whatever is saved.
    for number in sorted({job.number for chunk in part.chunks for job in chunk}):
        digest.update(edits_digest(part.edits[number]).encode())
    return digest.hexdigest()
