"""Text to learn from: the documents in a file, a folder of files, or their gzips."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

from interp.errors import UsageError
from interp.weights.wrapped import END

_SUFFIXES = {"", ".txt", ".md", ".gz"}


def documents(path: Path) -> list[str]:
    """The documents of a text, in order: files of a folder by name, each split at `<|endoftext|>`.

    Raises  UsageError for a path that is not there, holds no text, or is not UTF-8.
    """
    found = [document for file in _files(path) for document in _split(_read(file))]
    if not found:
        raise UsageError(f"{path} holds no text to learn from; give a file with some text in it")
    return found


def checksum(texts: Sequence[str]) -> str:
    """The SHA-256 of the documents, in their order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
        digest.update(END.encode())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"there is no text {str(path)!r}; give a file, a folder or a .gz")
    inside = (file for file in sorted(path.rglob("*")) if file.is_file())
    found = [
        file
        for file in inside
        if file.suffix in _SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not found:
        raise UsageError(f"{path} holds no .txt, .md or .gz file to learn from")
    return found


def _read(file: Path) -> str:
    try:
        data = file.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if (zero := data.find(0)) >= 0:
        raise UsageError(f"{file} is no text: byte {zero} is zero; give UTF-8 text")
    try:
        # A byte order mark is no part of the text.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{file} is not UTF-8 at byte {error.start}; convert it, or give another file"
        ) from None


def _split(text: str) -> list[str]:
    return [part for part in (each.strip("\n") for each in text.split(END)) if part.strip()]
