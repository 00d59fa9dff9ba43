"""The one token of a text."""

from typing import Any

from interp.errors import UsageError
from interp.tokenizers.bos import plainly
from interp.tokenizers.spell import token_text, token_texts

# A text to stand before another one, so that tokenizers which mark the start of a word do so.
_BEFORE = ("and", "1", "=")


def single_token(tokenizer: Any, text: str) -> int:
    """The token whose text this is, as it follows other text: a word inside a sentence has its space
    before it. The tokenizer's own BOS is no part of it.

    Raises  UsageError for a text that is not one token.
    """
    if not isinstance(text, str):
        raise UsageError(f"expected the text of one token, got {text!r:.60}")
    alone = plainly(tokenizer, text)
    for ids in (alone, *_behind(tokenizer, text)):
        if len(ids) == 1 and token_text(tokenizer, ids[0]) == text:
            return ids[0]
    raise UsageError(f"{text!r:.60} is not one token: {_why(tokenizer, text, alone)}")


def _behind(tokenizer: Any, text: str) -> list[list[int]]:
    """The tokens that the text adds to others that it leaves as they are."""
    found = []
    for before in _BEFORE:
        start, whole = plainly(tokenizer, before), plainly(tokenizer, before + text)
        if whole[: len(start)] == start:
            found.append(whole[len(start) :])
    return found


def _why(tokenizer: Any, text: str, ids: list[int]) -> str:
    if not ids:
        return "it is empty"
    parts = token_texts(tokenizer, ids, text)
    shown = ", ".join(map(repr, parts[:6])) + (", …" if len(parts) > 6 else "")
    if not text.startswith(" ") and len(plainly(tokenizer, f" {text}")) == 1:
        several = shown if len(ids) > 1 else "several behind other text"
        return f"it is {several}; with the space before it, {f' {text}'!r:.60}, it is one"
    return f"it is {len(ids)}: {shown}" if len(ids) > 1 else f"it is read as {shown}"
