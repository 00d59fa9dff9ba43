"""A pair of texts into a prompt, with everything said that makes it structurally unfit."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from interp.errors import UsageError
from interp.tasks.base import Prompt
from interp.tasks.reader import Reader

# More than anyone runs; without a limit, a slip of the keyboard would fill the memory.
MOST = 10_000


class Tokens(NamedTuple):
    """What clean and corrupted prompt are read as, BOS included, and what the right and the wrong
    answer add to the clean one; None for an answer that changes the prompt's own tokens."""

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    answer: tuple[int, ...] | None
    wrong: tuple[int, ...] | None


def pair(
    reader: Reader,
    clean: str,
    corrupted: str,
    answers: tuple[str, str],
    *,
    template: str,
    cluster: str | None = None,
    order: str = "",
    ends: Mapping[str, int] | None = None,
    others: Mapping[str, str] | None = None,
    tokens: Tokens | None = None,
    item: str = "",
    fillers: Iterable[str] = (),
) -> Prompt:
    """A prompt made of text; `reason` is empty if it is fit to run.

    `answers` are the right and the wrong continuation, exactly as they follow the prompt, the space
    before a word included. `ends` names words of the clean text by the character at which they end;
    the position named is that of the word's last token. END is always named. `tokens` are what the
    texts are read as, where that is known beforehand.
    """
    answer, wrong = answers
    clean_tokens, corrupted_tokens, answer_ids, wrong_ids = tokens or Tokens(
        reader.run(clean),
        reader.run(corrupted),
        reader.after(clean, answer),
        reader.after(clean, wrong),
    )
    further = {name: (text, reader.run(text)) for name, text in (others or {}).items()}
    places = {name: reader.position(clean, end) for name, end in (ends or {}).items()}
    reason = (
        _empty(reader, clean_tokens, corrupted_tokens)
        or _one_space_too_many(clean, answers)
        or _misaligned(clean_tokens, corrupted_tokens, "corrupted")
        or next(
            filter(None, (_misaligned(clean_tokens, further[name][1], name) for name in further)),
            "",
        )
        or _not_one_token(reader, clean, answer, answer_ids, "answer")
        or _not_one_token(reader, clean, wrong, wrong_ids, "wrong answer")
        or ("answer and wrong answer are the same token" if answer_ids == wrong_ids else "")
        or next(
            (f"no token ends where {name} ends" for name, place in places.items() if place is None),
            "",
        )
    )
    known = {name: place for name, place in places.items() if place is not None}
    return Prompt(
        clean=clean,
        corrupted=corrupted,
        answer=answer,
        wrong=wrong,
        clean_tokens=clean_tokens,
        corrupted_tokens=corrupted_tokens,
        answer_token=answer_ids[0] if answer_ids and len(answer_ids) == 1 else None,
        wrong_token=wrong_ids[0] if wrong_ids and len(wrong_ids) == 1 else None,
        template=template,
        cluster=template if cluster is None else cluster,
        order=order,
        positions={**known, "END": len(clean_tokens) - 1},
        others=further,
        item=item,
        fillers=frozenset(fillers),
        reason=reason or "",
    )


def enough(task: str, asked: int, maximum: int) -> None:
    """Passes if so many prompts can be made.

    Raises  UsageError, naming the maximum, otherwise.
    """
    if asked < 1:
        raise UsageError(f"{task} needs n of at least 1, got {asked}")
    if asked > min(maximum, MOST):
        most = (
            f"{task} can make at most {maximum} prompts for this tokenizer"
            if maximum <= MOST
            else f"at most {MOST} prompts of {task} are made at once"
        )
        raise UsageError(f"{most}, {asked} were asked for")


def _empty(reader: Reader, clean: tuple[int, ...], corrupted: tuple[int, ...]) -> str:
    for which, tokens in (("clean", clean), ("corrupted", corrupted)):
        if len(tokens) == len(reader.begin(())):
            return f"the {which} prompt is empty"
    return ""


def _one_space_too_many(clean: str, answers: tuple[str, str]) -> str:
    if clean.endswith(" ") and any(answer.startswith(" ") for answer in answers):
        return "the prompt ends in a space and the answer begins with one; leave the prompt's out"
    return ""


def _misaligned(clean: tuple[int, ...], other: tuple[int, ...], which: str) -> str:
    if len(clean) != len(other):
        return f"clean and {which} differ in length"
    return f"clean and {which} are the same tokens" if clean == other else ""


def _not_one_token(
    reader: Reader, clean: str, text: str, ids: tuple[int, ...] | None, which: str
) -> str:
    if ids is not None and len(ids) == 1:
        return f"{which} is not in the vocabulary" if ids[0] == reader.unknown else ""
    what = (
        f"{which} changes the tokens of the prompt before it"
        if ids is None
        else f"{which} is not one token"
    )
    if clean.endswith(" "):
        return f"{what}; the space at the prompt's end belongs to the answer"
    spaced = reader.after(clean, f" {text}") if text and not text.startswith(" ") else None
    if spaced is not None and len(spaced) == 1 and spaced[0] != reader.unknown:
        return (
            f"{what}, but with the space before it, it is: an answer follows the prompt as written"
        )
    return what
