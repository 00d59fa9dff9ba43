"""Blocks to plain JSON data and back, with arrays and tables kept beside it."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp.errors import InterpError
from interp.report import blocks, frames
from interp.report.diagrams import Edge, Node
from interp.report.pictures import Heatmap, Series
from interp.report.require import checked

Arrays = dict[str, NDArray[Any]]
Tables = dict[str, frames.Frame]

CLASSES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        *blocks.BLOCKS,
        blocks.Headline,
        Series,
        Node,
        Edge,
        blocks.Section,
        blocks.Check,
        blocks.NotRun,
    )
}


def encode(value: Any, path: str, arrays: Arrays, tables: Tables) -> Any:
    """`value` as JSON data; arrays go to `arrays` under their path in the page, tables by name."""
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if isinstance(value, blocks.Table):
        tables[value.name] = value.frame
        fields = _fields(value, path, arrays, tables, leave_out="frame")
        return {"block": "Table", **fields, "columns": frames.kinds(value.frame)}
    if dataclasses.is_dataclass(value):
        return {"block": type(value).__name__, **_fields(value, path, arrays, tables)}
    if isinstance(value, list | tuple):
        return [encode(item, f"{path}.{i}", arrays, tables) for i, item in enumerate(value)]
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise InterpError(f"{path} expected plain data, got {type(value).__name__}")


def _fields(
    value: Any, path: str, arrays: Arrays, tables: Tables, leave_out: str = ""
) -> dict[str, Any]:
    return {
        field.name: encode(getattr(value, field.name), f"{path}.{field.name}", arrays, tables)
        for field in dataclasses.fields(value)
        if field.name != leave_out
    }


def decode(
    data: Any, arrays: Mapping[str, NDArray[Any]], tables: Mapping[str, frames.Frame]
) -> Any:
    """The value that `encode` was given.

    Raises: InterpError for a block, array or table that is not known.
    """
    if isinstance(data, list):
        return tuple(decode(item, arrays, tables) for item in data)
    if not isinstance(data, dict):
        return data
    if set(data) == {"array"}:
        return _found(arrays, data["array"], "array")
    kind = _found(CLASSES, data.get("block", "?"), "block")
    fields = {
        name: decode(item, arrays, tables)
        for name, item in data.items()
        if name not in ("block", "columns") or (name == "columns" and kind is Heatmap)
    }
    if kind is blocks.Table:
        fields["frame"] = _found(tables, data["name"], "table")
    if kind is blocks.Check and fields["value"] is None:
        fields["value"] = math.nan
    try:
        return kind(**checked(kind, fields))
    except TypeError as error:
        raise InterpError(
            f"block {kind.__name__} has unknown or missing fields: {error}"
        ) from error


def _found(known: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in known:
        raise InterpError(
            f"result.json names {what} {name!r}, which the run's folder does not hold"
        )
    return known[name]
