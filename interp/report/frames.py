"""Tables as files: one normal form for data frames, written to CSV and read back unchanged."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from pandas.api import types

from interp.errors import InterpError
from interp.visible import cell, from_cell

Frame: TypeAlias = pd.DataFrame

# Columns named after an axis are integers even where a gap made pandas store them as floats.
AXES = ("layer", "head", "kv_head", "position", "neuron", "component_id", "example", "n")
NAME = re.compile(r"[a-z0-9_]+")
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def checked_name(name: str) -> str:
    """`name`, where it can be a file's name on every system."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InterpError(f"a table's name expected lower-case letters, digits and _; got {name!r}")
    return name


def tidy(frame: Frame, where: str) -> Frame:
    """A copy of `frame` with only the column types that a CSV file can hold. Integers are Int64 (missing
    allowed), floats float64, truth values boolean, anything else text, where missing is the empty string.
    The index is dropped.

    Raises: InterpError for repeated column names, a column named after an axis that holds
    fractions, and text that UTF-8 cannot hold.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InterpError(f"{where} expected a pandas DataFrame, got {type(frame).__name__}")
    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        raise InterpError(f"{where} has a column name twice: {', '.join(names)}")
    columns = {name: _column(frame.iloc[:, place], name, where) for place, name in enumerate(names)}
    return pd.DataFrame(columns, columns=pd.Index(names, dtype=object))


def _column(column: pd.Series[Any], name: str, where: str) -> pd.Series[Any]:
    column = column.reset_index(drop=True)
    if types.is_bool_dtype(column):
        return column.astype("boolean")
    if types.is_integer_dtype(column):
        return column.astype("Int64")
    if types.is_float_dtype(column):
        numbers = column.astype("float64")
        if name not in AXES:
            return numbers
        known = numbers.dropna()
        if not bool((known == np.floor(known)).all()):
            raise InterpError(f"{where} column {name!r} expected whole numbers, got fractions")
        return numbers.astype("Int64")
    values = ["" if _missing(value) else str(value) for value in column]
    if any(LONE_SURROGATE.search(value) for value in values):
        raise InterpError(f"{where} column {name!r} has text that UTF-8 cannot hold")
    return pd.Series(values, dtype=object)


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def kinds(frame: Frame) -> dict[str, str]:
    """The type of every column of a tidy frame: what a CSV file does not say by itself."""
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def to_csv(frame: Frame) -> str:
    """A tidy frame as CSV text: floats exact, integers without decimals, missing empty. Text that a
    spreadsheet would compute has an apostrophe before it; `from_csv` takes it away."""
    # pandas' own writer leaves a lone carriage return without quotes, and no reader takes that back.
    columns = [[_written(value) for value in frame[name]] for name in frame.columns]
    rows = [[cell(str(name)) for name in frame.columns], *map(list, zip(*columns, strict=True))]
    alone = len(columns) == 1
    return "".join(",".join(_quoted(value, alone) for value in row) + "\n" for row in rows)


def _written(value: object) -> str:
    if _missing(value):
        return ""
    if isinstance(value, str):
        return cell(value)
    return repr(float(value)) if isinstance(value, float) else str(value)


def _quoted(value: str, alone: bool) -> str:
    # A lone empty field would be a blank line, which readers skip.
    if any(mark in value for mark in ',"\r\n') or (alone and not value):
        return '"' + value.replace('"', '""') + '"'
    return value


def from_csv(text: str, kinds: Mapping[str, str], where: str) -> Frame:
    """The tidy frame that `to_csv` wrote.

    Raises: InterpError where the file's columns are not those of `kinds`.
    """
    rows = list(csv.reader(io.StringIO(text, newline="")))
    names = [from_cell(name) for name in rows[0]] if rows else []
    if names != list(kinds) and not (kinds == {} and names == [""]):
        raise InterpError(f"{where} expected columns {', '.join(kinds)}; got {', '.join(names)}")
    body = rows[1:]
    if any(len(row) != len(names) for row in body):
        raise InterpError(f"{where} has a row whose length is not that of its header")
    known: dict[str, Any] = {kind: kind for kind in ("Int64", "float64", "boolean")}
    columns = {
        name: pd.Series([_read(row[place], kind) for row in body], dtype=known.get(kind, object))
        for place, (name, kind) in enumerate(kinds.items())
    }
    return pd.DataFrame(columns, columns=pd.Index(list(kinds), dtype=object))


def _read(value: str, kind: str) -> object:
    if kind == "float64":
        return float(value) if value else np.nan
    if kind == "Int64":
        return int(value) if value else pd.NA
    if kind == "boolean":
        return {"True": True, "False": False, "": pd.NA}[value]
    return from_cell(value)
