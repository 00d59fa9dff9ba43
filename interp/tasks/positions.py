"""What a row of a file says of tokens: their ids as a run recorded them, and named positions.

A run's `prompts.csv` gives token ids beside the texts: the way back for prompts that are no text to
begin with. They are taken where this tokenizer reads all four of a row back as its texts: `clean_tokens`
and `corrupted_tokens` with or without the BOS of the run, `answer_token` and `wrong_token`. A row of
another tokenizer, or one whose texts were changed since, is made anew from its texts.

A named position is given as a token's index or as a text. A number is an index, and so is a text of digits
alone or of `#` and digits; any other text names the last token of the one place where it occurs in the
clean prompt. Digits that occur there themselves could be either, and are refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from interp.errors import UsageError, brief
from interp.tasks.base import Prompt
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


PREFIX = "pos_"
# Where every prompt has them; a column may say so, and cannot say otherwise.
RESERVED = ("END", "BOS")
_MEANS = {"END": "the prompt's last token, where the answer is read", "BOS": "what is put first"}
_INDEX = re.compile(r"#?([0-9]+)")
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Positions:
    """By name the indices as given, and for texts the characters of the clean prompt at which they
    end."""

    indices: Mapping[str, int]
    ends: Mapping[str, int]


def check_name(column: str, place: str) -> None:
    """Passes if a position can be called as this column says.

    Raises  UsageError otherwise.
    """
    name = column.removeprefix(PREFIX)
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise UsageError(
            f"{place}: no position can be called {brief(name)}; write {PREFIX}NAME with a name of at "
            f"most {_LONGEST_NAME} printable characters"
        )
    if name not in RESERVED and name.strip().upper() in RESERVED:
        raise UsageError(
            f"{place}: {column} is too like {PREFIX}{name.strip().upper()}, which every prompt has; "
            "choose another name"
        )


def read(given: Mapping[str, str | int], clean: str, ids: bool, place: str) -> Positions:
    """The positions that a row gives for its clean prompt. A row that gives its token `ids` means
    indices into them.

    Raises  UsageError for what is neither an index nor a text that occurs once, or could be both.
    """
    indices: dict[str, int] = {}
    ends: dict[str, int] = {}
    for name, value in given.items():
        index = _index(value)
        if index is None:
            ends[name] = _end(clean, name, str(value), place)
            continue
        if isinstance(value, str) and not ids and value in clean:
            raise UsageError(
                f"{place}: position {name}: {brief(value)} may be a token's index, and it occurs in the "
                "prompt as text; for the text give a longer one that ends there, for the index "
                f"'#{index}', or in JSON the number"
            )
        indices[name] = index
    return Positions(indices, ends)


def placed(
    given: Positions, reader: Reader, made: Prompt, ids: Recorded | None, place: str
) -> dict[str, int]:
    """The indices into the tokens of the prompt as made; those of texts it has itself.

    Raises  UsageError for an index that the prompt does not have or that is another tokenizer's, for a
            text in what is no text to begin with, and for a reserved name elsewhere than it is.
    """
    tokens = made.clean_tokens
    shift = 0 if ids is None else ids.shift(tokens)
    if given.indices and shift is None:
        raise UsageError(
            f"{place}: position {min(given.indices)} is an index into clean_tokens, which are not this "
            "tokenizer's for this prompt; leave the columns pos_NAME out, or name positions by texts "
            "and leave the columns of tokens out"
        )
    if given.ends and tokens != reader.run(made.clean):
        raise UsageError(
            f"{place}: position {min(given.ends)} must be a token's index, since clean_tokens are not "
            "what the text is read as"
        )
    found = {name: index + (shift or 0) for name, index in given.indices.items()}
    for name, index in found.items():
        if not 0 <= index < len(tokens):
            raise UsageError(
                f"{place}: position {name} is {brief(given.indices[name])}, but the prompt has "
                f"{len(tokens)} tokens, 0 to {len(tokens) - 1}"
            )
    ends = {name: reader.position(made.clean, end) for name, end in given.ends.items()}
    fixed = {"END": len(tokens) - 1, "BOS": None if reader.bos is None else 0}
    for name in RESERVED:
        at = found.pop(name, ends.get(name))
        if (name in given.indices or name in given.ends) and at != fixed[name]:
            where = "nowhere" if fixed[name] is None else f"token {fixed[name]}"
            raise UsageError(
                f"{place}: position {name} is {_MEANS[name]}, here {where}, and {PREFIX}{name} says "
                f"{'no token' if at is None else f'token {at}'}; choose another name for that one"
            )
    return found


def _index(value: str | int) -> int | None:
    if isinstance(value, int):
        return value
    found = _INDEX.fullmatch(value)
    # No prompt has so many tokens; a larger number is refused as any that is too large.
    return int(found[1][:10]) if found else None


def _end(clean: str, name: str, text: str, place: str) -> int:
    first = clean.find(text)
    if first < 0 or clean.find(text, first + 1) >= 0:
        times = "0 times" if first < 0 else "more than once"
        raise UsageError(
            f"{place}: position {name} must be a token's index, a whole number from 0 on, or a text that "
            f"occurs once in the clean prompt; {brief(text)} occurs {times}"
        )
    return first + len(text)
