"""Tokens shown as they are, spaces and line ends too, and the names of attention heads in stored text."""

import re
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


HEAD = re.compile(r"(?<![0-9A-Za-z])L(\d{1,4})H(\d{1,4})(?![0-9])")


def spelt(layer: object, head: object) -> str:
    """The head's name, as everywhere on a page."""
    return f"L{layer}H{head}"


def head_name(text: str) -> str:
    """The one head that `text` names, as L5H1; empty where it names none or several."""
    found = {match.group() for match in HEAD.finditer(text)}
    return found.pop() if len(found) == 1 else ""
