"""A tokenizer as tasks need it: a BOS put first, words that are one token, places in a text."""

import string
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from interp.tokenizers.bos import Choice, bos_of, plainly, unmarked

# A word to stand before another one, so that tokenizers which mark the start of a word do so.
_BEFORE = "and"


class Reader:
    """A Hugging Face tokenizer that puts the task's BOS first, once, and never guesses."""

    def __init__(self, tokenizer: Any, bos: Choice = "auto") -> None:
        self._tokenizer = tokenizer
        self._bos = bos_of(tokenizer, bos)
        self._seen: dict[str, tuple[int, ...]] = {}

    @property
    def bos(self) -> int | None:
        """The token before every prompt, or None where there is none."""
        return self._bos.token

    @cached_property
    def special(self) -> frozenset[int]:
        """Tokens that stand for no text."""
        added = getattr(self._tokenizer, "added_tokens_decoder", {})
        return frozenset(self._tokenizer.all_special_ids) | frozenset(added)

    @property
    def unknown(self) -> int | None:
        """The token of whatever the vocabulary lacks."""
        unknown = self._tokenizer.unk_token_id
        return None if unknown is None else int(unknown)

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return len(self._tokenizer)

    def ids(self, text: str) -> tuple[int, ...]:
        """The tokens of a text, with nothing put before or after. A BOS that the text begins with is
        the task's own, and none of them."""
        if text not in self._seen:
            begun = () if self.bos is None else (self.bos,)
            found = plainly(self._tokenizer, unmarked(self._tokenizer, text, begun))
            self._seen[text] = tuple(found)
        return self._seen[text]

    def run(self, text: str) -> tuple[int, ...]:
        """The tokens of a text as the model reads them: after the BOS."""
        return self.begin(self.ids(text))

    def begin(self, ids: Sequence[int]) -> tuple[int, ...]:
        """These tokens after the BOS, which those that begin with it are already."""
        if self.bos is None or tuple(ids[:1]) == (self.bos,):
            return tuple(ids)
        return (self.bos, *ids)

    def after(self, text: str, more: str) -> tuple[int, ...] | None:
        """The tokens that `more` adds to a text, or None if it changes the text's own tokens."""
        before, whole = self.ids(text), self.ids(text + more)
        return whole[len(before) :] if whole[: len(before)] == before else None

    def position(self, text: str, end: int) -> int | None:
        """Where in `run(text)` the token ends that ends at this character, or None if none does."""
        first = self.ids(text[:end])
        if not first or self.ids(text)[: len(first)] != first:
            return None
        return len(self.begin(first)) - 1

    def text(self, ids: Sequence[int]) -> str:
        """The text of these tokens."""
        return str(self._tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def word(self, word: str) -> int | None:
        """The one token of a word inside a sentence, or None if it is several or unknown."""
        ids = self.after(_BEFORE, f" {word}")
        if ids is None or len(ids) != 1 or ids[0] == self.unknown:
            return None
        return ids[0]

    def single(self, words: Iterable[str]) -> list[str]:
        """Those of the words that are one token inside a sentence, no two the same token."""
        by_token: dict[int, str] = {}
        for word in words:
            token = self.word(word)
            if token is not None:
                by_token.setdefault(token, word)
        return list(by_token.values())


def fill(template: str, **words: str) -> tuple[str, dict[str, list[int]]]:
    """The template with its fields filled, and for each field the characters at which it ends."""
    text, ends = "", dict[str, list[int]]()
    for literal, name, _, _ in string.Formatter().parse(template):
        text += literal
        if name is not None:
            text += words[name]
            ends.setdefault(name, []).append(len(text))
    return text, ends
