"""Does the model let an event end after the year in which it began?

"The war lasted from the year 1743 to the year 17" is to go on with more than 43. Where the
tokenizer has two digits in a token, the answer is a later and the wrong answer an earlier pair of
digits. Where it has a token for each digit, there are two questions, in the column `order`: `tens`
stops after the century and compares the next digit with that of the first year; `ones` has the same
tens as the first year already written and compares the last digit. Together they are the two
factors of the probability of both digits, each of them in one forward pass. The corrupted prompt
begins in 1701 (or 1101, …), so that nearly every year of the century comes after it.

Source  Hanna et al. 2023, How does GPT-2 compute greater-than?, arXiv:2305.00586 (the task; the
        sentences and lists are our own).
"""

from __future__ import annotations

from functools import partial
from random import Random

from interp.errors import UsageError
from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Vocabulary, Words, numbered, usable

SENTENCES = (
    "The {event} lasted from the year {start} to the year {end}",
    "The {event} began in the year {start} and ended in the year {end}",
    "The {event} went on from {start} until {end}",
    "It is said that the {event} started in {start} and stopped in {end}",
    "From {start} the {event} continued through the year {end}",
    "The {event} broke out in {start} and was over in {end}",
    "Historians date the {event} from {start} to {end}",
    "The {event} opened in the year {start} and closed in the year {end}",
    "They remember the {event} of {start} to {end}",
    "The book describes the {event} between the year {start} and the year {end}",
    "The {event} that began in {start} did not end before {end}",
    "Records of the {event} run from the year {start} to the year {end}",
    "Her essay covers the {event} from {start} up to {end}",
    "The town suffered under the {event} from {start} until the year {end}",
    "After the {event} started in {start}, it took until {end}",
)
EVENTS = """
war siege voyage campaign famine drought conflict crisis journey project reign struggle rebellion
occupation mission expedition
"""
# Digits with room on either side for a right and a wrong one.
_MIDDLE = range(2, 8)
CENTURIES = ("11", "12", "13", "14", "15", "16", "17", "18")


def recipe(reader: Reader) -> Recipe:
    """Where there are two questions, every template comes with both."""
    questions = _questions(reader)
    years = [f"{tens}{ones}" for tens in _MIDDLE for ones in _MIDDLE]
    centuries = [
        century
        for century in CENTURIES
        if questions != ("",) or all(_splits(reader, century, year) for year in years)
    ]
    words = {
        "event": Words("events", reader.single(EVENTS.split())),
        "century": Words("centuries whose years split", centuries),
        "year": Words("years of a century", years),
    }
    return Recipe(
        "greater_than",
        numbered(SENTENCES),
        len(questions),
        {name: usable("greater_than", each) for name, each in words.items()},
        partial(_draw, reader, questions),
        different=lambda words: len(words["event"]) * len(_starts(reader, questions[0], words)),
        corrupted=lambda words: len(words["event"]) * len(words["century"]),
        shared=("the digits of the answers",),
    )


def _draw(
    reader: Reader, questions: tuple[str, ...], template: int, variant: int, pick: Pick
) -> list[Prompt]:
    order, event = questions[variant], pick.one("event")
    century, year = pick.among("start", _starts(reader, order, pick.words))[0]
    shown, answers = _asked(reader, order, century, year, pick.random)
    words = {"event": event, "end": shown}
    clean, ends = fill(SENTENCES[template], start=f"{century}{year}", **words)
    corrupted, _ = fill(SENTENCES[template], start=f"{century}01", **words)
    start = ends["start"][0]
    made = pair(
        reader,
        clean,
        corrupted,
        answers,
        template=f"s{template + 1:02}",
        order=order,
        ends={"start": start} if order == "" else {"tens": start - 1, "ones": start},
        item=year,
        fillers=(event, century, year),
    )
    return [made]


def _starts(reader: Reader, order: str, words: Vocabulary) -> list[tuple[str, str]]:
    """The centuries and years of them that the tokenizer splits there."""
    return [
        (century, year)
        for century in words["century"]
        for year in words["year"]
        if order or _splits(reader, century, year)
    ]


def _questions(reader: Reader) -> tuple[str, ...]:
    """What can be asked of this tokenizer: both digits at once, or one after the other.

    Raises  UsageError for a tokenizer that splits years in neither way.
    """
    added = reader.after("the year 17", "43")
    if added is not None and len(added) == 1:
        return ("",)
    if added is not None and len(added) == 2:
        return ("tens", "ones")
    raise UsageError(
        "greater_than needs years that split after the century; this tokenizer's do not"
    )


def _splits(reader: Reader, century: str, year: str) -> bool:
    added = reader.after(f"the year {century}", year)
    return added is not None and len(added) == 1


def _asked(
    reader: Reader, order: str, century: str, year: str, random: Random
) -> tuple[str, tuple[str, str]]:
    """What is written of the last year, and the right and the wrong next token."""
    if order:
        digit = int(year[order == "ones"])
        answers = str(random.randint(digit + 1, 9)), str(random.randint(0, digit - 1))
        return (century if order == "tens" else century + year[0]), answers
    # Some whole years are one token of their own, and cannot be asked for in two.
    known = [f"{other:02}" for other in range(2, 99) if _splits(reader, century, f"{other:02}")]
    later = [other for other in known if other > year] or ["99"]
    earlier = [other for other in known if other < year] or ["00"]
    return century, (random.choice(later), random.choice(earlier))
