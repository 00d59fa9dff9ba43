"""The smallest PNG writer that large heat maps and thumbnails need."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
