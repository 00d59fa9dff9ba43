"""What a run depends on, part by part, so that the program can say why it runs or skips."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import interp
from interp import ordinary
from interp.errors import InterpError, UsageError

FILE = "key.json"
_LARGEST = 64 * ordinary.MB
# Their versions decide the last digits of every number.
_LIBRARIES = ("torch", "transformers", "transformer_lens", "numpy")


@dataclass(frozen=True, slots=True)
class Key:
    """All that a run's numbers depend on: readable parts, and a checksum of each code file. What no
    number depends on is the mark of the `file` that the prompts come from, if they do."""

    parts: Mapping[str, Any]
    code: Mapping[str, str]
    file: str = ""

    @property
    def digest(self) -> str:
        """The checksum of parts and code."""
        every = {"parts": dict(self.parts), "code": dict(self.code)}
        return checksum(json.dumps(every, sort_keys=True).encode())

    def save(self, folder: Path) -> None:
        """Writes the key into a run's folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def stored(folder: Path) -> Key | None:
    """The key of the run that lies in this folder; None where there is no readable one."""
    try:
        data = json.loads(ordinary.data(folder / FILE, _LARGEST))
        return Key(dict(data["parts"]), dict(data["code"]), str(data.get("file", "")))
    except (UsageError, ValueError, KeyError, TypeError, RecursionError):
        return None


def changes(old: Key, new: Key) -> str:
    """What differs between two keys, in words; empty where nothing does."""
    found = []
    changed = sorted(
        name for name in {*old.code, *new.code} if old.code.get(name) != new.code.get(name)
    )
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        found.append(f"code changed ({changed[0]}{more})")
    for name in sorted({*old.parts, *new.parts}):
        before, after = old.parts.get(name), new.parts.get(name)
        if before != after:
            found.append(f"{name} changed{_detail(before, after)}")
    return "; ".join(found)


def checksum(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@cache
def libraries() -> dict[str, str]:
    """The versions of the libraries that compute."""
    return {name: version(name) for name in _LIBRARIES}


@cache
def package_code() -> dict[str, str]:
    """A checksum of every code file of the package but those of report/, since a change of looks needs
    no new numbers, and of bench/, which no study calls.
    """
    root = Path(interp.__file__).parent
    apart = {"report", "bench"}
    code = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] not in apart]
    return {
        f"interp/{path.relative_to(root).as_posix()}": file_checksum(path) for path in sorted(code)
    }


def file_checksum(path: Path) -> str:
    """The first sixteen characters of a file's checksum.

    Raises  InterpError if the file cannot be read.
    """
    try:
        return checksum(path.read_bytes())[:16]
    except OSError as error:
        raise InterpError(f"{path} cannot be read: {error.strerror}") from None


def _detail(before: Any, after: Any) -> str:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        differing = [
            f"{name} {before.get(name)!r} → {after.get(name)!r}"
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]
        return f" ({', '.join(differing)})"
    long = max(len(str(before)), len(str(after))) > 40
    return "" if long else f" ({before} → {after})"
