"""The token ids that a run's own `prompts.csv` gives beside the texts: the way back for prompts that
are no text to begin with, such as random tokens, which text would not be tokenized back into.

They are taken where this tokenizer reads all four of a row back as its texts: `clean_tokens` and
`corrupted_tokens` with or without the BOS of the run, `answer_token` and `wrong_token`. A row of
another tokenizer, or one whose texts were changed since, is made anew from its texts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from interp.errors import UsageError, brief
from interp.tasks.pairs import Tokens
from interp.tasks.reader import Reader

PROMPTS = ("clean_tokens", "corrupted_tokens")
ANSWERS = ("answer_token", "wrong_token")
_IDS = re.compile(r"[0-9]{1,9}( [0-9]{1,9})*")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The ids of a row as it was run, the BOS of that run included; an answer that was no single token
    has none."""

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    answer: int | None
    wrong: int | None

    def tokens(self, reader: Reader, cells: Mapping[str, str]) -> Tokens | None:
        """The row's ids after this reader's BOS, or None if they are not this tokenizer's for these
        texts."""
        clean = _body(reader, self.clean, cells["clean"])
        corrupted = _body(reader, self.corrupted, cells["corrupted"])
        answer, wrong = self.answer, self.wrong
        if clean is None or corrupted is None or answer is None or wrong is None:
            return None
        if not (
            _reads(reader, (answer,), cells["answer"]) and _reads(reader, (wrong,), cells["wrong"])
        ):
            return None
        return Tokens(reader.begin(clean), reader.begin(corrupted), (answer,), (wrong,))

    def shift(self, tokens: tuple[int, ...]) -> int | None:
        """What an index into these ids has to be raised by to mean the same token among `tokens`; None
        if they are not the same but for a token put first."""
        more = len(tokens) - len(self.clean)
        same = {0: tokens == self.clean, 1: tokens[1:] == self.clean, -1: tokens == self.clean[1:]}
        return more if same.get(more) else None


def recorded(cells: Mapping[str, str], place: str) -> Recorded | None:
    """The ids of this row; None if it has none for both prompts.

    Raises  UsageError for what are no token ids.
    """
    for name in (*PROMPTS, *ANSWERS):
        several = name in PROMPTS
        given = cells.get(name, "0")
        if not _IDS.fullmatch(given) or (not several and " " in given):
            raise UsageError(
                f"{place}: {name} must be {'token ids, a space between' if several else 'a token id'}, "
                f"got {brief(given)}; leave the column out to have it made from the text"
            )
    if not all(name in cells for name in PROMPTS):
        return None
    clean, corrupted = (tuple(map(int, cells[name].split(" "))) for name in PROMPTS)
    answer, wrong = (int(cells[name]) if name in cells else None for name in ANSWERS)
    return Recorded(clean, corrupted, answer, wrong)


def _body(reader: Reader, ids: tuple[int, ...], text: str) -> tuple[int, ...] | None:
    """The ids of the text itself, without the special token that a run may have put first."""
    if _reads(reader, ids, text):
        return ids
    begun = bool(ids) and ids[0] in reader.special | {reader.bos}
    return ids[1:] if begun and _reads(reader, ids[1:], text) else None


def _reads(reader: Reader, ids: tuple[int, ...], text: str) -> bool:
    return all(token < reader.size for token in ids) and reader.text(ids) == text
