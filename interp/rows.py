"""The rows of a user's own table: a CSV with a header, JSONL, or a JSON list of objects, in UTF-8.

At most 64 MB, 1,000,000 rows, 1,000 columns, and 1,000,000 characters a text.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp import ordinary
from interp.errors import UsageError, brief, named

# Larger tables are not made by hand, nor longer texts read by a model.
MOST_BYTES = 64 * ordinary.MB
MOST_ROWS = 1_000_000
MOST_COLUMNS = 1_000
MOST_CHARACTERS = 1_000_000
_MOST_DIGITS = 30
_SPACE = " \t\r\n"


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
                f"{self.place}: {name} must be a text that is not empty, got {brief(value)}"
            )
        return value


def rows(path: Path) -> Iterator[Row]:
    """The rows of a .csv, .jsonl or .json file, in order; empty lines are none.

    Raises  UsageError, naming file and place, for whatever is not that, and for more than is read.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise UsageError(f"{named(path)} must be a .csv, .jsonl or .json file")
    read = ordinary.data(path, MOST_BYTES)
    # A text may hold the character zero; a first line that does is UTF-16, or binary data.
    ordinary.decoded(read.partition(b"\n")[0], path)
    text = ordinary.decoded(read, path, zeros=True)
    for count, row in enumerate(KINDS[kind](text, named(path)), start=1):
        if count > MOST_ROWS:
            raise UsageError(
                f"{named(path)} has more than the {MOST_ROWS:,} rows that are read; split it"
            )
        for name, value in row.values.items():
            _check(name, name, row.place)
            if isinstance(value, str):
                _check(value, name, row.place)
        yield row


def _check(text: str, name: str, place: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"{place}: {brief(name)} has {len(text):,} characters, at most {MOST_CHARACTERS:,} are "
            "read; shorten it or leave the line out"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{place}: {brief(name)} holds half a character (a lone surrogate)"
        ) from None


def _csv(text: str, file: str) -> Iterator[Row]:
    lines = (match[0] for match in re.finditer(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+", text))
    table = csv.reader(lines, strict=True)
    header = next(_cells(table, file), [])
    _check_header(header, file)
    for cells in _cells(table, file):
        place = f"{file}, line {table.line_num}"
        if cells and len(cells) != len(header):
            slip = _separator(cells) if len(cells) == 1 else None
            hint = _slip(slip) if slip else "put a text with commas in double quotes"
            raise UsageError(
                f"{place}: expected {len(header)} cells as in the header, got {len(cells)}; {hint}"
            )
        if cells:
            yield Row(place, table.line_num, dict(zip(header, cells, strict=True)))


def _cells(table: Any, file: str) -> Iterator[list[str]]:
    while True:
        # The limit is the csv module's own, for the whole process.
        usual = csv.field_size_limit(MOST_BYTES)
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(
                f"{file}, line {table.line_num}: no CSV that can be read ({error}); a text with a "
                "quotation mark or a line end stands in double quotes, the mark itself doubled"
            ) from None
        finally:
            csv.field_size_limit(usual)
        yield cells


def _check_header(header: Sequence[str], file: str) -> None:
    if len(header) > MOST_COLUMNS:
        raise UsageError(f"{file} has {len(header):,} columns, at most {MOST_COLUMNS:,} are read")
    if separator := _separator(header):
        raise UsageError(f"{file}: {_slip(separator)}")
    if repeated := [name for name, times in Counter(header).items() if times > 1]:
        raise UsageError(f"{file} has two columns called {brief(min(repeated))}")


def _separator(cells: Sequence[str]) -> str | None:
    """What stands between columns where a comma should, if these cells are several columns each."""
    if found := next((mark for mark in ";\t|" if any(mark in cell for cell in cells)), None):
        return found
    return next(iter(re.findall(r"[^\w.+-]", cells[0])), None) if len(cells) == 1 else None


def _slip(separator: str) -> str:
    names = {"\t": "a tab", " ": "a space"}
    return (
        f"the separator is {names.get(separator, brief(separator))}, and ',' is expected; save it as "
        "CSV with commas, each text that holds a comma in double quotes"
    )


def _jsonl(text: str, file: str) -> Iterator[Row]:
    # Not splitlines(): a text may hold other line separators than these.
    for line, match in enumerate(re.finditer(r"[^\n]*\n|[^\n]+", text), start=1):
        if match[0].strip():
            place, words = f"{file}, line {line}", match[0].strip(_SPACE)
            value, end = _value(words, 0, place)
            if end < len(words):
                raise UsageError(f"{place}: expected a JSON object alone, got more after it")
            yield _object(value, place, line)


def _json(text: str, file: str) -> Iterator[Row]:
    rest = text.strip(_SPACE)
    if rest and not rest.startswith("["):
        raise UsageError(
            f"{file} must hold a list of objects, [{{…}}, …], got {brief(rest)}; objects line by line "
            "are a .jsonl"
        )
    at, number = _past_space(rest, 1), 0
    more = at < len(rest) and rest[at] != "]"
    while more:
        number += 1
        place = f"{file}, entry {number}"
        value, at = _value(rest, at, place)
        yield _object(value, place, number)
        at = _past_space(rest, at)
        more = rest.startswith(",", at)
        at = _past_space(rest, at + 1) if more else at
    if rest and rest[at:] != "]":
        raise UsageError(
            f"{file}: expected ',' or the list's end after entry {number}, got "
            f"{brief(rest[at : at + 61]) if at < len(rest) else 'the end of the file'}"
        )


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _value(text: str, at: int, place: str) -> tuple[Any, int]:
    """The JSON value that begins here, and where it ends."""

    def refuse(what: str) -> Any:
        raise UsageError(f"{place}: {what}")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) < len(pairs):
            names = Counter(name for name, _ in pairs)
            refuse(f"{brief(names.most_common(1)[0][0])} stands there twice")
        return found

    def whole(digits: str) -> int:
        if len(digits) > _MOST_DIGITS:
            refuse(f"a number of {len(digits):,} digits, at most {_MOST_DIGITS} are read")
        return int(digits)

    decoder = json.JSONDecoder(
        object_pairs_hook=once,
        parse_int=whole,
        parse_constant=lambda name: refuse(f"{name} is no value; write null, or leave it out"),
    )
    try:
        return decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{place}: expected a JSON object, {{…}}, and got {brief(text[at : at + 61])}: "
            f"{error.msg} at its character {error.pos - at + 1:,}"
        ) from None
    except RecursionError:
        raise UsageError(f"{place}: expected a JSON object, got one nested too deeply") from None


def _object(value: Any, place: str, number: int) -> Row:
    if not isinstance(value, dict):
        raise UsageError(f"{place}: expected a JSON object, got {brief(value)}")
    if len(value) > MOST_COLUMNS:
        raise UsageError(f"{place} has {len(value):,} columns, at most {MOST_COLUMNS:,} are read")
    return Row(place, number, value)


KINDS = {".csv": _csv, ".jsonl": _jsonl, ".json": _json}
