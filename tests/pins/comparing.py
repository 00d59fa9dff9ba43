"""Two records of the same runs side by side, and what of the pinned one is not found again.

A record may grow: studies, tables, columns, settings and checks that are new are not looked at. Numbers
are equal within `RELATIVE` of themselves; near zero within `OF_COLUMN` of the largest of their column;
and differences smaller than `NOISE` are rounding (runs are in float64, but a few tables are made in
float32). Whole numbers, words and the places of empty cells are equal or not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

RELATIVE, OF_COLUMN, NOISE = 1e-4, 1e-6, 1e-7
_SHOWN = 60
# A number in a sentence, with the decimals that it is printed with.
_NUMBER = re.compile(r"[-+−]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WHOLE = re.compile(r"-?\d+")
# Columns that say which row it is.
_NAMING = re.compile(
    r"layer|head|neuron|position|label|part|place|site|ablation|order|template|control|component|"
    r"scores|one|other|kind|name|token|receiver|sender|from|to|example|clean"
)


def differences(pinned: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """A line for everything pinned that is not found: study, table, row, column, expected and found."""
    lines: list[str] = []
    for study, run in pinned.items():
        if study not in found:
            lines.append(f"{study}: expected a run, found none")
        else:
            lines += [f"{study}, {line}" for line in _run(run, found[study])]
    return lines


def _run(pinned: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for key in ("status", "verdict"):
        if pinned[key] != found[key]:
            yield _said(key, pinned[key], found[key])
    yield from _sentence("answer", pinned["answer"], found["answer"])
    yield from _named("setting", pinned["settings"], found["settings"])
    yield from _named("check passed", pinned["checks"], found["checks"])
    for control in pinned["not_run"]:
        if control not in found["not_run"]:
            yield _said("not run", control, found["not_run"])
    yield from _headlines(pinned["headline"], found["headline"])
    for table, columns in pinned["tables"].items():
        if table not in found["tables"]:
            yield f"table {table}: expected it, found {', '.join(found['tables']) or 'no table'}"
        else:
            yield from _table(f"table {table}", columns, found["tables"][table])


def _named(what: str, pinned: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for name, value in pinned.items():
        if name not in found:
            yield f"{what} {name}: expected {value!r}, found none"
        elif found[name] != value:
            yield _said(f"{what} {name}", value, found[name])


def _headlines(
    pinned: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    if [each["label"] for each in pinned] != [each["label"] for each in found]:
        yield _said(
            "headlines", [each["label"] for each in pinned], [each["label"] for each in found]
        )
        return
    for one, other in zip(pinned, found, strict=True):
        ends = (one[key] for key in ("value", "low", "high"))
        size = max((abs(each) for each in ends if isinstance(each, float)), default=0.0)
        for key in ("value", "unit", "low", "high", "n"):
            if not _same(one[key], other[key], size):
                yield _said(f"headline {one['label']}, {key}", one[key], other[key])


def _table(
    name: str, pinned: Mapping[str, list[str]], found: Mapping[str, list[str]]
) -> Iterator[str]:
    missing = [column for column in pinned if column not in found]
    for column in missing:
        yield f"{name}, column {column}: expected it, found {', '.join(found)}"
    n_rows = [len(next(iter(each.values()), [])) for each in (pinned, found)]
    if n_rows[0] != n_rows[1]:
        yield _said(f"{name}, rows", *n_rows)
        return
    for column in (column for column in pinned if column not in missing):
        cells = list(zip(pinned[column], found[column], strict=True))
        size = max(
            (abs(number) for cell, _ in cells if (number := _number(cell)) is not None), default=0.0
        )
        wrong = [row for row, (one, other) in enumerate(cells) if not _same_cell(one, other, size)]
        if wrong:
            first = wrong[0]
            more = f"; so are {len(wrong) - 1} more of its {len(cells)} rows" if wrong[1:] else ""
            where = f"{name}, row {first}{_row_name(pinned, first)}, column {column}"
            yield _said(where, *cells[first]) + more


def _row_name(columns: Mapping[str, list[str]], row: int) -> str:
    named = [
        f"{column} {cells[row]}"
        for column, cells in columns.items()
        if _NAMING.fullmatch(column) and cells[row]
    ][:4]
    return f" ({_cut(', '.join(named))})" if named else ""


def _same_cell(one: str, other: str, size: float) -> bool:
    if one == other:
        return True
    numbers = _number(one), _number(other)
    if None in numbers or (_WHOLE.fullmatch(one) and _WHOLE.fullmatch(other)):
        return False
    return _same(*numbers, size)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _same(one: Any, other: Any, size: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        near = max(RELATIVE * max(abs(one), abs(other)), OF_COLUMN * size, NOISE)
        return one == other or abs(one - other) <= near
    return one == other


def _sentence(what: str, pinned: str, found: str) -> Iterator[str]:
    """Words are the same; a number is, within one unit of the last digit that it is printed with."""
    if _NUMBER.split(pinned) != _NUMBER.split(found):
        at = next(
            (
                at
                for at, (one, other) in enumerate(zip(pinned, found, strict=False))
                if one != other
            ),
            min(len(pinned), len(found)),
        )
        begin = max(at - 20, 0)
        yield _said(f"{what}, words from letter {begin}", pinned[begin:], found[begin:])
        return
    numbers = zip(_NUMBER.findall(pinned), _NUMBER.findall(found), strict=True)
    for one, other in numbers:
        if one != other and not _same_printed(one, other):
            yield _said(f"{what}, number", one, other)


def _same_printed(one: str, other: str) -> bool:
    """Whole numbers count something, or are rounded percentages; either is the same or not."""
    values = [float(each.replace("−", "-")) for each in (one, other)]
    if max(map(abs, values)) < NOISE:
        return True
    if "." not in one or "." not in other or "e" in (one + other).lower():
        return False
    decimals = len(one.partition(".")[2])
    return abs(values[0] - values[1]) <= 1.01 * 10**-decimals


def _said(where: str, pinned: Any, found: Any) -> str:
    return f"{where}: expected {_cut(pinned)}, found {_cut(found)}"


def _cut(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return text if text else "nothing"
