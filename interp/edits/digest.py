"""What edits do, as a checksum."""

import hashlib
from collections.abc import Sequence

import torch

from interp.edits.edit import Edit
from interp.edits.values import Call
from interp.errors import UsageError


def edits_digest(edits: Sequence[Edit]) -> str:
    """A checksum of what the edits do: equal for equal sites, places and values.

    Raises  UsageError for a Python function, which has no contents to compare.
    """
    digest = hashlib.sha256()
    for edit in edits:
        value = edit.value
        if isinstance(value, Call):
            raise UsageError(f"{edit}: a function cannot be compared; give an edit that is data")
        tensor = getattr(value, "tensor", None)
        scalars = (getattr(value, "scale", None), getattr(value, "shared", None))
        digest.update(repr((edit.site, edit.where, type(value).__name__, scalars)).encode())
        if tensor is not None:
            plain = tensor.detach().cpu().contiguous()
            digest.update(repr((plain.shape, plain.dtype)).encode())
            digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
