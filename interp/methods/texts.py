"""Plain English of many kinds, to see what a part of a model reads outside its task."""

from importlib import resources
from pathlib import Path

from interp import ordinary
from interp.errors import UsageError, named

MOST_BYTES = 64 * ordinary.MB


def natural_texts(path: str | None = None) -> list[str]:
    """The passages of a UTF-8 text file, separated by blank lines; without a path those that ship.

    Raises  UsageError for a file that cannot be read as text, is larger than 64 MB or holds no passage.
    """
    if path is None:
        text = (resources.files("interp.methods") / "data" / "passages.txt").read_text("utf-8")
    else:
        text = ordinary.text(Path(path), MOST_BYTES).replace("\r\n", "\n")
    found = [each.strip() for each in text.split("\n\n") if each.strip()]
    if not found:
        raise UsageError(f"expected passages separated by blank lines, {named(str(path))} has none")
    return found
