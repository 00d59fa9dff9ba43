"""What a heat map's picture needs: every cell's place on the colour scale and its text."""

import base64
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp.report.numbers import MINUS, Number, Scaled
from interp.report.pictures import Heatmap, Scale, TokenStrip
from interp.report.visible import token

# Larger maps are one picture and a linked file instead of a table of cells.
MOST_CELLS = 5_000
OUTLINED = 3
PICTURE_POSITIVE, PICTURE_NEGATIVE = (31, 99, 190), (200, 62, 45)
PICTURE_SEQUENTIAL = (107, 58, 168)


@dataclass(frozen=True)
class Range:
    """The two ends of a colour scale and how its numbers are written."""

    low: float
    high: float
    diverging: bool

    @classmethod
    def of(
        cls,
        values: NDArray[Any],
        scale: Scale,
        low: Number | None = None,
        high: Number | None = None,
    ) -> "Range":
        """The scale of `values`: symmetric about zero if diverging, else from low to high."""
        known = values[~np.isnan(values)]
        least = float(known.min()) if low is None and known.size else float(low or 0.0)
        most = float(known.max()) if high is None and known.size else float(high or 0.0)
        if scale == "diverging":
            limit = max(abs(least), abs(most))
            return cls(-limit, limit, True)
        if low is None:
            least = min(0.0, least)
        return cls(least, max(least, most), False)

    @property
    def number(self) -> Scaled:
        return Scaled(max(abs(self.low), abs(self.high)), self.diverging)

    def place(self, values: NDArray[Any]) -> NDArray[Any]:
        """Where values stand on the scale, 0 to 1: the distance from zero if diverging."""
        if self.diverging:
            spread = self.high
            raw = np.abs(values)
        else:
            spread = self.high - self.low
            raw = values - self.low
        return np.asarray(np.clip(raw / spread, 0, 1) if spread > 0 else raw * 0)

    @property
    def ends(self) -> tuple[str, str]:
        number = self.number
        low, high = number(self.low), number(self.high)
        if self.diverging and self.high > 0:
            low, high = MINUS + low.lstrip(MINUS + "+"), "+" + high.lstrip("+")
        return low + number.factor, high + number.factor


@dataclass(frozen=True)
class Cell:
    """One cell: `kind` is p(ositive), n(egative), s(equential), x (no value) or m(asked)."""

    kind: str
    place: str
    text: str


def cells(values: NDArray[Any], scale: Range, outlined: int = 0) -> list[list[Cell]]:
    """Every cell of a matrix; the `outlined` strongest have a kind that ends in " t"."""
    places = scale.place(values)
    number = scale.number
    size = np.where(np.isnan(values), -1, np.abs(values))
    order = np.argsort(-size, axis=None, kind="stable")[:outlined]
    top = {int(index) for index in order if size.flat[index] > 0}
    columns = values.shape[1]
    return [
        [
            Cell("x", "", "–")
            if np.isnan(value)
            else Cell(
                ("n" if value < 0 else "p" if scale.diverging else "s")
                + (" t" if row * columns + column in top else ""),
                f"{place:.3f}".rstrip("0").rstrip("."),
                number(float(value)),
            )
            for column, (value, place) in enumerate(zip(line, line_places, strict=True))
        ]
        for row, (line, line_places) in enumerate(zip(values, places, strict=True))
    ]


@dataclass(frozen=True)
class MapView:
    """One heat map, ready for the template."""

    block: Heatmap
    scale: Range
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    body: list[list[Cell]] | None
    picture: str | None
    tall: bool
    show_values: bool
    upright: bool
    widths: tuple[int, int]

    @classmethod
    def of(cls, block: Heatmap) -> "MapView":
        scale = Range.of(block.values, block.scale, block.low, block.high)
        n_rows, n_columns = block.values.shape
        rows = _labels(block.rows, n_rows)
        columns = _labels(block.columns, n_columns)
        body = cells(block.values, scale, OUTLINED) if block.values.size <= MOST_CELLS else None
        upright = max(len(label) for label in columns) > 3
        longest = max((len(cell.text) for line in body for cell in line), default=0) if body else 0
        aside = 76 if upright else 34
        cell, wide = 28 if n_columns < 24 else 14, 6 * longest + 6
        return cls(
            block=block,
            scale=scale,
            rows=rows,
            columns=columns,
            body=body,
            picture=None if body else picture(block.values, scale),
            tall=n_rows > 16,
            show_values=n_rows <= 16 and n_columns <= 16,
            upright=upright,
            widths=(aside + n_columns * cell, aside + n_columns * wide),
        )

    @property
    def dense(self) -> bool:
        """Whether column names would run into each other, so that only every fourth is shown."""
        return not self.upright and len(self.columns) > 30

    @property
    def nought(self) -> bool:
        """Whether there are values and all are zero: the picture then says nothing by itself."""
        known = self.block.values[~np.isnan(self.block.values)]
        return bool(known.size) and not known.any()

    @property
    def missing(self) -> bool:
        return bool(np.isnan(self.block.values).any())


def _labels(labels: Any, size: int) -> tuple[str, ...]:
    return tuple(token(x) for x in labels) if labels else tuple(str(i) for i in range(size))


def picture(values: NDArray[Any], scale: Range, power: float = 1.0) -> str:
    """A data URI of the map, one pixel a cell; the strength is in the opacity, so that one
    picture serves a light and a dark page. A `power` below 1 lifts weak cells."""
    places = scale.place(values) ** power
    pixels = np.zeros((*values.shape, 4), dtype=np.uint8)
    pixels[..., :3] = PICTURE_POSITIVE if scale.diverging else PICTURE_SEQUENTIAL
    if scale.diverging:
        pixels[values < 0, :3] = PICTURE_NEGATIVE
    pixels[..., 3] = np.where(np.isnan(places), 0, np.nan_to_num(places) * 255 + 0.5)
    return "data:image/png;base64," + base64.b64encode(encode_rgba(pixels)).decode()


@dataclass(frozen=True)
class StripView:
    """One token strip, ready for the template: (text, cell or None) a token."""

    block: TokenStrip
    scale: Range | None
    tokens: list[tuple[str, Cell | None]]

    @classmethod
    def of(cls, block: TokenStrip) -> "StripView":
        shown = [token(text) for text in block.tokens]
        if block.values is None:
            return cls(block, None, [(text, None) for text in shown])
        scale = Range.of(block.values, block.scale)
        row = cells(block.values[None, :], scale)[0]
        return cls(block, scale, list(zip(shown, row, strict=True)))


def encode_rgba(pixels: NDArray[Any]) -> bytes:
    """A PNG file of `pixels` [row column 4], 8 bits a channel."""
    height, width, channels = pixels.shape
    if channels != 4 or pixels.dtype != np.uint8:
        raise ValueError(f"expected uint8 pixels [row column 4], got {pixels.dtype} {pixels.shape}")
    lines = np.zeros((height, 1 + width * 4), dtype=np.uint8)
    lines[:, 1:] = pixels.reshape(height, width * 4)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
