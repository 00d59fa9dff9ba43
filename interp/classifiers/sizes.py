"""The sizes in someone else's config beside the weights that are there, before anything is built."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from interp.errors import UnavailableError, brief, named
from interp.transformer import bounds

# Rotary models read up to ten million tokens; tables of positions are made in memory.
_MOST_POSITIONS = 1 << 24
_POSITIONS = ("position", "n_ctx", "max_seq_len")


def check(name: str, written: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Passes if no size in the config is beyond what its weight files can hold.

    A weight takes a byte or more, and no layer, head, width or vocabulary is without weights.

    Raises  UnavailableError for one that is, and for more layers than any model has.
    """
    total = sum(file.stat().st_size for file in files)
    for setting, value in _integers(written):
        most = total
        if any(part in setting for part in _POSITIONS):
            most = _MOST_POSITIONS
        elif "layer" in setting:
            most = min(total, bounds.MOST_LAYERS)
        elif not _is_size(setting):
            continue
        if value > most:
            raise UnavailableError(
                f"config.json of {named(name)} says {named(setting, 60)} = {brief(value)}, more than its "
                f"weights can have ({total:,} bytes)"
            )


def _is_size(setting: str) -> bool:
    parts = ("size", "dim", "hidden", "head", "expert", "d_model", "n_embd", "d_ff", "d_inner")
    return any(part in setting for part in (*parts, "n_inner", "num_labels", "num_buckets", "rank"))


def _integers(written: Any, depth: int = 0) -> Iterator[tuple[str, int]]:
    """The integers of a config and of those inside it, by name."""
    for setting, value in written.items() if isinstance(written, dict) and depth < 4 else ():
        values = value if isinstance(value, list) else [value]
        for each in values[:1000]:
            if isinstance(each, int) and not isinstance(each, bool):
                yield str(setting), each
            elif isinstance(each, float) and each > 1e9:
                yield str(setting), int(min(each, 1e18))
            yield from _integers(each, depth + 1)
