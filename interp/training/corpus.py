"""Text to learn from: the documents in a file, a folder of files, or their gzips.

At most 1,024 MB of text, unpacked and in all files together.
"""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from interp import ordinary
from interp.errors import UsageError, named
from interp.tokenizers.letters import END

# What a machine of 16 GB can learn from; a gzip may stand for a thousand times its size.
MOST_BYTES = 1024 * ordinary.MB
_SUFFIXES = {"", ".txt", ".md", ".gz"}


def documents(path: Path) -> list[str]:
    """The documents of a text, in order: files of a folder by name, each split at `<|endoftext|>`.

    Raises  UsageError for a path that is not there or no ordinary file, holds no text, is not UTF-8,
            or is more than is read.
    """
    found: list[str] = []
    left = MOST_BYTES
    for file in _files(path):
        read = _read(file, left)
        left -= len(read)
        found += _split(ordinary.decoded(read, file))
    if not found:
        raise UsageError(
            f"{named(path)} holds no text to learn from; give a file with some text in it"
        )
    return found


def checksum(texts: Sequence[str]) -> str:
    """The SHA-256 of the documents, in their order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
        digest.update(END.encode())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    if not os.path.isdir(path):
        if not os.path.lexists(path):
            raise UsageError(f"there is no text {named(path)}; give a file, a folder or a .gz")
        return [path]
    inside = (file for file in sorted(path.rglob("*")) if file.is_file())
    found = [
        file
        for file in inside
        if file.suffix in _SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not found:
        raise UsageError(f"{named(path)} holds no .txt, .md or .gz file to learn from")
    return found


def _read(file: Path, most: int) -> bytes:
    read = ordinary.data(file, most)
    if not read.startswith(b"\x1f\x8b"):
        return read
    try:
        # Counted before it is kept.
        with gzip.open(io.BytesIO(read)) as packed:
            size = 0
            while chunk := packed.read(ordinary.MB):
                if (size := size + len(chunk)) > most:
                    raise UsageError(
                        f"{named(file)} unpacks to more than the {MOST_BYTES // ordinary.MB:,} MB "
                        "of text that are read; split it"
                    )
        return gzip.decompress(read)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{named(file)} cannot be read: {error}") from None


def _split(text: str) -> list[str]:
    return [part for part in (each.strip("\n") for each in text.split(END)) if part.strip()]
