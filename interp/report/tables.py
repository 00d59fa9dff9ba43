"""What a table's picture needs: rows of text with each column's kind and the head of each row."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from interp.report.blocks import Table
from interp.report.numbers import column
from interp.report.visible import spelt

# A larger table shows its first rows and is otherwise a file.
MOST_VALUES = 5_000


@dataclass(frozen=True)
class Row:
    """One row; `head` is "L5H1" where the row is about an attention head."""

    cells: list[str]
    head: str


@dataclass(frozen=True)
class TableView:
    """One table, ready for the template."""

    block: Table
    numeric: list[bool]
    rows: list[Row]
    total: int

    @classmethod
    def of(cls, block: Table, budget: int) -> "TableView":
        """All rows where they fit `budget` values, else the first."""
        frame = block.frame
        whole = frame.size <= min(MOST_VALUES, budget)
        shown = frame if whole else frame.iloc[: block.first_rows]
        numeric = [str(dtype) in ("Int64", "float64") for dtype in frame.dtypes]
        names = [str(name) for name in frame.columns]
        columns = [_texts(shown[name].tolist(), str(shown[name].dtype)) for name in names]
        rows = []
        for texts in zip(*columns, strict=True):
            record = dict(zip(names, texts, strict=True))
            layer, head = record.get("layer", ""), record.get("head", "")
            known = layer.isdecimal() and head.isdecimal()
            rows.append(Row(list(texts), spelt(layer, head) if known else ""))
        return cls(block, numeric, rows, len(frame))

    @property
    def whole(self) -> bool:
        return len(self.rows) == self.total


def _texts(values: list[Any], kind: str) -> list[str]:
    if kind == "float64":
        return column(values)
    if kind == "boolean":
        return ["" if value is pd.NA else "yes" if value else "no" for value in values]
    return ["" if value is pd.NA else str(value) for value in values]
