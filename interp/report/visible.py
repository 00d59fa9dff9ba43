"""Tokens shown as they are: spaces and line ends, too, are seen."""

import unicodedata

from interp.visible import HIDDEN, reveal

__all__ = ["HIDDEN", "MARKS", "reveal", "token"]

MARKS = {" ": "·", "\n": "↵", "\r": "␍", "\t": "⇥"}


def token(value: str) -> str:
    """A token with its spaces and newlines made visible too; an empty one is ⟨empty⟩."""
    if not value:
        return "⟨empty⟩"
    marked = "".join(MARKS.get(character, character) for character in reveal(value))
    # A combining mark alone would settle on its neighbour.
    return f"◌{marked}" if unicodedata.combining(marked[0]) else marked
