"""The text of tokens, from which one can tell the token.

Two tokens have two texts. A token with the space before its word shows it, whichever way the vocabulary
writes it; a byte that is no character by itself is `<0xE2>`; a special token is its name; a row of the
model that the tokenizer does not know is `<token 50300>`.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from interp.errors import UsageError
from interp.tokenizers.bos import plainly

# Byte-level BPE writes bytes as letters, SentencePiece a space as ▁; of other kinds only their
# decoder knows how pieces are joined.
Kind = Literal["bytes", "marked", "joined"]
_SPACE = "▁"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_STRAY = re.compile("[\udc80-\udcff]")


def token_text(tokenizer: Any, token: int) -> str:
    """The text of one token, wherever it stands."""
    return Spelling(tokenizer).text(token)


def token_texts(tokenizer: Any, tokens: Sequence[int], text: str | None = None) -> list[str]:
    """The texts of a prompt's tokens, which put together are its text, but for the bytes of characters
    that are several tokens.

    A space that the tokenizer puts before the first word by itself is not shown. Where it does is
    known from `text`, or else from what the tokenizer makes of the tokens' text without it.
    """
    spelling = Spelling(tokenizer)
    if spelling.kind == "joined":
        return spelling.joined(tokens)
    return spelling.side_by_side(tokens, text)


class Spelling:
    """How a tokenizer's vocabulary writes its tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {})
        self.special = frozenset(tokenizer.all_special_ids)
        self.special |= {token for token, it in added.items() if getattr(it, "special", False)}
        self._names = {token: str(it) for token, it in added.items()}
        self.kind = _kind(tokenizer)

    def text(self, token: int) -> str:
        """The text of one token."""
        written = self._written(token)
        if not written:
            return f"<token {token}>"
        if token in self._names or self.kind == "joined":
            return written
        text = _STRAY.sub(
            lambda stray: f"<0x{ord(stray.group()) - 0xDC00:02X}>",
            self.data(token).decode("utf-8", errors="surrogateescape"),
        )
        if self.kind == "marked" and _BYTE.fullmatch(written):
            return text if self._stands_for(text) else written
        return text if text not in self._names.values() else written

    def data(self, token: int) -> bytes:
        """The bytes that the token stands for in a text."""
        written = self._written(token)
        if self.kind == "bytes" and token not in self._names:
            letters = _letters()
            return b"".join(letters.get(letter) or letter.encode() for letter in written)
        if self.kind == "marked" and token not in self._names:
            if byte := _BYTE.fullmatch(written):
                return bytes([int(byte[1], 16)])
            written = written.replace(_SPACE, " ")
        return written.encode("utf-8", errors="replace")

    def side_by_side(self, tokens: Sequence[int], text: str | None) -> list[str]:
        """The texts of a prompt's tokens, of a vocabulary that writes the spaces down."""
        found = [self.text(token) for token in tokens]
        words = [at for at, token in enumerate(tokens) if token not in self.special]
        first = [at for at in words if at - 1 not in words]
        if text is not None and self._spells(tokens, set(), words, text):
            return found
        for starts in (first, first[:1]):
            spaced = {at for at in starts if found[at].startswith(" ")}
            if spaced and self._made(tokens, spaced, words, text):
                without = [each[1:] if at in spaced else each for at, each in enumerate(found)]
                whole = self._bytes(tokens, spaced, 0).decode("utf-8", errors="replace")
                # A space alone is left without a text only where that makes the whole exact.
                kept = (
                    set() if "".join(without) == whole else {at for at in spaced if not without[at]}
                )
                return [found[at] if at in kept else each for at, each in enumerate(without)]
        return found

    def _made(
        self, tokens: Sequence[int], spaced: set[int], words: Sequence[int], text: str | None
    ) -> bool:
        """Whether the tokenizer put the spaces at the beginning of the `spaced` tokens itself."""
        if text is not None and self._spells(tokens, spaced, words, text):
            return True
        if text is None and len(words) == 1:
            # A word alone is a token, and not what the tokenizer makes of a text.
            return False
        behind = self._bytes(tokens, spaced, words[0]).decode("utf-8", errors="replace")
        return plainly(self._tokenizer, behind) == list(tokens[words[0] :])

    def _spells(
        self, tokens: Sequence[int], spaced: set[int], words: Sequence[int], text: str
    ) -> bool:
        """Whether the tokens without these spaces are the text, with or without a BOS before it."""
        starts = {0, *words[:1]}
        data = text.encode("utf-8", errors="replace")
        return any(self._bytes(tokens, spaced, start) == data for start in starts)

    def _bytes(self, tokens: Sequence[int], spaced: set[int], start: int) -> bytes:
        each = [self.data(token)[at in spaced :] for at, token in enumerate(tokens)]
        return b"".join(each[start:])

    def joined(self, tokens: Sequence[int]) -> list[str]:
        """The texts of a prompt's tokens, each as the decoder writes it behind the one before."""
        found: list[str] = []
        before: int | None = None
        for token in tokens:
            alone = self.text(token)
            if token in self._names or not self._written(token):
                found.append(alone)
            elif before is None:
                found.append(self._decoded(token) or alone)
            else:
                start, both = self._decoded(before), self._decoded(before, token)
                found.append((both.removeprefix(start) if both != start else "") or alone)
            if before is not None or token not in self.special:
                before = token
        return found

    def _written(self, token: int) -> str:
        """The token as the vocabulary writes it; empty where there is none."""
        if token in self._names:
            return self._names[token]
        if not 0 <= token < len(self._tokenizer):
            return ""
        return str(self._tokenizer.convert_ids_to_tokens(token) or "")

    def _decoded(self, *tokens: int) -> str:
        decode = self._tokenizer.decode
        plain = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
        return str(decode(list(tokens), **plain))

    def _stands_for(self, text: str) -> bool:
        """Whether a byte is a character to be seen that no other token is."""
        if len(text) != 1 or not (text.isprintable() or text in "\n\t"):
            return False
        written = _SPACE if text == " " else text
        token = self._tokenizer.convert_tokens_to_ids(written)
        return token is None or self._tokenizer.convert_ids_to_tokens(token) != written


def _kind(tokenizer: Any) -> Kind:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        some = tokenizer.convert_ids_to_tokens(plainly(tokenizer, "a b"))
        return "marked" if any(_SPACE in token for token in some) else "joined"
    if backend.decoder is None:
        return "joined"
    decoder = backend.decoder.__getstate__().decode("utf-8")
    if '"ByteLevel"' in decoder:
        return "bytes"
    return "marked" if _SPACE in decoder else "joined"


@cache
def _letters() -> dict[str, bytes]:
    """The byte that each letter of byte-level BPE stands for.

    Source  GPT-2's `bytes_to_unicode`: bytes that print stand for themselves, the others are the
            letters from U+0100 on, in their order.
    """
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in prints]
    letters = {chr(byte): bytes([byte]) for byte in prints}
    return letters | {chr(0x100 + rank): bytes([byte]) for rank, byte in enumerate(others)}


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
