"""Sentence pairs: the built-in list, or a file of the user's.

The built-in seven are those that the card of HHEM 1.0 scores; `published` are its scores.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from interp.errors import UsageError, nearest

BUILT_IN = Path(__file__).parent / "data" / "pairs.csv"
REQUIRED = ("premise", "hypothesis")
OPTIONAL = ("published",)
# A file is read whole; larger ones are no list of pairs.
_LARGEST = 50_000_000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences, and the score that somebody published for them, where there is one."""

    premise: str
    hypothesis: str
    published: float | None = None


def pairs(path: str | Path | None = None) -> list[Pair]:
    """The pairs of a CSV (with a header), JSON (a list of objects) or JSONL file in UTF-8, whose
    columns are `premise, hypothesis` and, if known, `published`; the built-in seven without a path.

    Raises  UsageError, naming file and row, for whatever is not that.
    """
    place = BUILT_IN if path is None else Path(path)
    found = [_pair(row, where) for where, row in _rows(place)]
    if not found:
        raise UsageError(f"{place} has no pairs")
    return found


def premises(chosen: Sequence[Pair]) -> Int[np.ndarray, " example"]:
    """For each pair the number of its premise: pairs that share one are no independent evidence."""
    number = {text: rank for rank, text in enumerate(dict.fromkeys(p.premise for p in chosen))}
    return np.array([number[pair.premise] for pair in chosen], dtype=np.int64)


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    text = _text(path)
    kind = path.suffix.lower()
    if kind == ".csv":
        yield from _csv(text, path)
    elif kind == ".json":
        whole = _json(text, str(path))
        if not isinstance(whole, list):
            raise UsageError(f"{path} must hold a list of objects, got {type(whole).__name__}")
        yield from ((f"{path}, entry {number}", row) for number, row in enumerate(whole, start=1))
    elif kind == ".jsonl":
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
            if line.strip():
                yield f"{path}, line {number}", _json(line, f"{path}, line {number}")
    else:
        raise UsageError(f"{path} must be a .csv, .json or .jsonl file")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path} is larger than {_LARGEST // 1_000_000} MB; split it")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8: byte {error.start} cannot be read; save it as UTF-8"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _csv(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    try:
        table = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(table, [])
        if len(set(header)) < len(header):
            raise UsageError(f"{path} has two columns of one name: {', '.join(header)[:200]}")
        for cells in table:
            where = f"{path}, line {table.line_num}"
            if cells and len(cells) != len(header):
                raise UsageError(
                    f"{where}: expected {len(header)} cells as in the header, got {len(cells)}; "
                    "put a text with commas in double quotes"
                )
            if cells:
                yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV that can be read: {error}") from None


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{where}: expected JSON") from None


def _pair(row: Any, where: str) -> Pair:
    if not isinstance(row, Mapping):
        raise UsageError(f"{where}: expected an object with {', '.join(REQUIRED)}")
    known = (*REQUIRED, *OPTIONAL)
    for name in row:
        if name not in known:
            raise UsageError(f"{where}: no column is called {name!r:.60}; {nearest(name, known)}")
    for name in REQUIRED:
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{where}: {name} must be a text that is not empty, got {value!r:.60}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{where}: {name} holds half a character (a lone surrogate)") from None
    return Pair(row["premise"], row["hypothesis"], _published(row.get("published"), where))


def _published(value: Any, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 1:
        raise UsageError(f"{where}: published must be a score from 0 to 1, got {value!r:.60}")
    return score
