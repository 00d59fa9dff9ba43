"""The rows of a user's own table: a CSV with a header, JSONL, or a JSON list of objects, in UTF-8."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.errors import UsageError

# A table is read whole; larger ones are not made by hand.
_LARGEST = 50_000_000
_LONGEST_FIELD = 10_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """Values by column, and where they stand: `place` for messages, `number` of the line or entry."""

    place: str
    number: int
    values: Mapping[str, Any]

    def text(self, name: str) -> str:
        """The text in this column.

        Raises  UsageError if there is none.
        """
        value = self.values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise UsageError(
                f"{self.place}: {name} must be a text that is not empty, got {value!r:.60}"
            )
        return value


def rows(path: Path) -> Iterator[Row]:
    """The rows of a .csv, .jsonl or .json file, in order; empty lines are none.

    Raises  UsageError, naming file and place, for whatever is not that.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise UsageError(f"{path} must be a .csv, .jsonl or .json file")
    for row in KINDS[kind](_text(path), path):
        for name, value in row.values.items():
            _whole(f"{name}{value}" if isinstance(value, str) else name, name, row.place)
        yield row


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


def _whole(text: str, name: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{place}: {name!r:.60} holds half a character (a lone surrogate)"
        ) from None


def _csv(text: str, path: Path) -> Iterator[Row]:
    usual = csv.field_size_limit(_LONGEST_FIELD)
    try:
        table = csv.reader(io.StringIO(text, newline=""), strict=True)
        header: list[str] = next(table, [])
        if repeated := {name for name in header if header.count(name) > 1}:
            raise UsageError(f"{path} has two columns called {sorted(repeated)[0]!r:.60}")
        for cells in table:
            place = f"{path}, line {table.line_num}"
            if cells and len(cells) != len(header):
                raise UsageError(
                    f"{place}: expected {len(header)} cells as in the header, got {len(cells)}; "
                    "put a text with commas in double quotes"
                )
            if cells:
                yield Row(place, table.line_num, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV that can be read: {error}") from None
    finally:
        csv.field_size_limit(usual)


def _jsonl(text: str, path: Path) -> Iterator[Row]:
    # Not splitlines(): a text may hold other line separators than these.
    for line, words in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if words.strip():
            place = f"{path}, line {line}"
            yield _object(_parsed(words, place, "a JSON object"), place, line)


def _json(text: str, path: Path) -> Iterator[Row]:
    whole = _parsed(text, str(path), "JSON")
    if not isinstance(whole, list):
        raise UsageError(f"{path} must hold a list of objects, got {type(whole).__name__}")
    for number, entry in enumerate(whole, start=1):
        yield _object(entry, f"{path}, entry {number}", number)


def _parsed(text: str, place: str, expected: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{place}: expected {expected}") from None


def _object(value: Any, place: str, number: int) -> Row:
    if not isinstance(value, dict):
        raise UsageError(f"{place}: expected a JSON object, got {value!r:.60}")
    return Row(place, number, value)


KINDS = {".csv": _csv, ".jsonl": _jsonl, ".json": _json}
