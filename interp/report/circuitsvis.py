"""CircuitsVis, made safe: its code as inert text, its patterns packed, a table beside it.

Nothing of it runs until a reader's page asks for it. Its token widgets write raw HTML and are
never used; its attention pattern draws on a canvas. The library is read as a file: importing it
would import torch.
"""

import base64
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp.errors import InterpError
from interp.report.heatmaps import Cell, Range, cells
from interp.report.pictures import Attention
from interp.report.visible import spelt, token

# Bytes of packed patterns a page may hold before base64, over all of its viewers.
MOST_BYTES = 360_000
LONGEST_PROMPT = 64


def installed_file(package: str, path: str) -> Path:
    """The path of a file inside an installed package, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InterpError(f"{package} is not installed; install it to draw this page")
    file = Path(spec.submodule_search_locations[0]) / path
    if not file.is_file():
        raise InterpError(f"{package} has no {path}; install the version in the constraints file")
    return file


@cache
def script() -> str:
    """The library's code, safe inside a script element: `</script` only occurs in its strings,
    where `<\\/script` means the same."""
    text = installed_file("circuitsvis", "dist/cdn/iife.js").read_text(encoding="utf-8")
    return re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE)


def packed(pattern: NDArray[Any]) -> tuple[bytes, bool]:
    """A pattern [head query key] as bytes, 255 for 1; only the lower triangle if it is causal."""
    levels = np.clip(np.rint(pattern * 255), 0, 255).astype(np.uint8)
    size = levels.shape[-1]
    causal = not np.triu(levels, 1).any()
    rows, columns = np.tril_indices(size)
    return (levels[:, rows, columns] if causal else levels).tobytes(), causal


@dataclass(frozen=True)
class AttentionView:
    """One attention viewer, ready for the template."""

    block: Attention
    heads: tuple[str, ...]
    prompts: tuple[str, ...]
    tokens: tuple[str, ...]
    body: list[list[Cell]]
    island: dict[str, Any]
    left_out_heads: int
    left_out_prompts: int

    @classmethod
    def of(cls, block: Attention, budget: int) -> "AttentionView | None":
        """The viewer of the prompts and first heads that fit `budget` bytes; None where not even
        one prompt is short enough to be looked at."""
        short = [i for i, prompt in enumerate(block.tokens) if len(prompt) <= LONGEST_PROMPT]
        if not short:
            return None
        chosen: list[int] = []
        per_head = 0
        for i in short:
            size = packed(block.patterns[i][:1])[0]
            if chosen and (per_head + len(size)) * min(len(block.heads), 12) > budget:
                break
            chosen.append(i)
            per_head += len(size)
        n_heads = max(1, min(len(block.heads), budget // per_head))
        island = []
        for i in chosen:
            data, causal = packed(block.patterns[i][:n_heads])
            names = [token(text) for text in block.tokens[i]]
            island.append(
                {"tokens": names, "causal": causal, "data": base64.b64encode(data).decode()}
            )
        heads = tuple(spelt(*head) for head in block.heads[:n_heads])
        first = block.patterns[chosen[0]][0]
        return cls(
            block=block,
            heads=heads,
            prompts=tuple(_summary(block.tokens[i]) for i in chosen),
            tokens=tuple(token(text) for text in block.tokens[chosen[0]]),
            body=masked(cells(first, Range(0.0, 1.0, False)), packed(first[None])[1]),
            island={"heads": heads, "prompts": island},
            left_out_heads=len(block.heads) - n_heads,
            left_out_prompts=len(block.tokens) - len(chosen),
        )

    @property
    def size(self) -> int:
        """Bytes of packed patterns, to be taken from the page's budget."""
        return sum(len(prompt["data"]) * 3 // 4 for prompt in self.island["prompts"])


def masked(body: list[list[Cell]], causal: bool) -> list[list[Cell]]:
    """The cells of a pattern, those of later keys empty if it is causal."""
    if not causal:
        return body
    return [
        [cell if key <= query else Cell("m", "", "") for key, cell in enumerate(line)]
        for query, line in enumerate(body)
    ]


def _summary(tokens: Any) -> str:
    text = " ".join("".join(tokens).split())
    return text if len(text) <= 90 else text[:89] + "…"
