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

from collections.abc import Mapping
from functools import partial
from random import Random

from interp.errors import UsageError
from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Vocabulary, Words, numbered

SENTENCES = (
    "The {event} lasted from the year {start} to the year {end}",
    "It broke out in {start}, and nobody could stop this {event} until {end}",
    "Historians usually date our {event} between {start} and {end}",
    "A {event} which began around {start} did not end before {end}",
    "What people called their great {event} started with a speech in {start} and finished without any "
    "ceremony in {end}",
    "He was a boy when, in {start}, some {event} began; as an old man he saw it end in {end}",
    "Opened: {start}. Purpose: {event}. Closed: {end}",
    "Her letters describe one {event}; the first letter is dated May {start}, the last June {end}",
    "Once begun, in {start}, no {event} seemed to take longer; it was over only by {end}",
    "They paid extra taxes for a {event} each spring since {start}, and went on paying till {end}",
    "Because of the {event}, all schools here stayed shut after March {start} and opened again in April "
    "{end}",
    "My grandfather's diary mentions an endless {event}: it opens on New Year's Day {start} and breaks off "
    "at Christmas {end}",
    "Although planned for {start} alone, this {event} dragged on far into {end}",
    "Twice the king tried to end his {event}; having failed in {start}, he succeeded in {end}",
    "Spending on every {event} rose sharply in {start}; it fell back to normal levels in {end}",
    "Ships left port in {start} on a {event} from which they returned home in {end}",
    "No one who had seen that {event} start in {start} believed peace would come as late as {end}",
    "Two dates are carved into stone to mark their {event}: {start} and, beneath it, {end}",
    "Summary of {event}: under way by {start}, half complete a decade later, fully complete by {end}",
    "Prices doubled during that {event}, from its outbreak in {start} through its last winter, {end}",
    "When digging, we met coins of {start} below the ashes of an ancient {event} and, above them, coins "
    "of {end}",
    "Parliament first voted money for some {event} in {start}; the final payment followed in {end}",
    "She spent half her life writing about this {event}: volume one appeared in {start}, volume nine in "
    "{end}",
    "Imagine leaving for a {event} in {start} and coming back, grey and tired, in {end}",
)
# After "a" as well as "the", so none begins with a vowel.
EVENTS = """
war siege voyage campaign famine drought conflict crisis journey project reign struggle rebellion
mission battle dispute trial debate festival plague strike boycott protest revolution migration
quarrel blockade crusade persecution pandemic recession depression boom reform quest hunt search
tour regime dynasty partnership program scheme construction restoration lawsuit study survey fight
contest treaty colonization marriage career ban tradition presidency pilgrimage friendship romance
shortage settlement ministry service course peace
"""
# Digits with room on either side for a right and a wrong one.
_MIDDLE = range(2, 8)
Splitting = Mapping[str, frozenset[str]]
CENTURIES = ("10", "11", "12", "13", "14", "15", "16", "17", "18", "19")


def recipe(reader: Reader) -> Recipe:
    """Where there are two questions, every template comes with both."""
    questions = _questions(reader)
    years = [f"{tens}{ones}" for tens in _MIDDLE for ones in _MIDDLE]
    splitting = {
        century: frozenset(year for year in years if _splits(reader, century, year, questions))
        for century in CENTURIES
        if _splits(reader, century, "01", questions)
    }
    words = {
        "event": Words("events", reader.single(EVENTS.split())),
        "century": Words("centuries", [each for each, some in splitting.items() if some]),
        "year": Words("years of a century", years),
    }
    return Recipe(
        "greater_than",
        numbered(SENTENCES),
        len(questions),
        words,
        partial(_draw, reader, questions, splitting),
        different=lambda words: len(words["event"]) * len(_starts(splitting, words)),
        corrupted=lambda words: len(words["event"]) * len(words["century"]),
        shared=("the digits of the answers",),
    )


def _draw(
    reader: Reader,
    questions: tuple[str, ...],
    splitting: Splitting,
    template: int,
    variant: int,
    pick: Pick,
) -> list[Prompt]:
    order, event = questions[variant], pick.one("event")
    century, year = pick.among("start", _starts(splitting, pick.words))[0]
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


def _starts(splitting: Splitting, words: Vocabulary) -> list[tuple[str, str]]:
    """The years of these words that the tokenizer splits after the century."""
    return [
        (century, year)
        for century in words["century"]
        for year in words["year"]
        if year in splitting[century]
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


def _splits(reader: Reader, century: str, year: str, questions: tuple[str, ...]) -> bool:
    """Whether the two digits are as many tokens as there are questions."""
    added = reader.after(f"the year {century}", year)
    return added is not None and len(added) == len(questions)


def _asked(
    reader: Reader, order: str, century: str, year: str, random: Random
) -> tuple[str, tuple[str, str]]:
    """What is written of the last year, and the right and the wrong next token."""
    if order:
        digit = int(year[order == "ones"])
        answers = str(random.randint(digit + 1, 9)), str(random.randint(0, digit - 1))
        return (century if order == "tens" else century + year[0]), answers
    # Some whole years are one token of their own, and cannot be asked for in two.
    known = [
        f"{other:02}" for other in range(2, 99) if _splits(reader, century, f"{other:02}", ("",))
    ]
    later = [other for other in known if other > year] or ["99"]
    earlier = [other for other in known if other < year] or ["00"]
    return century, (random.choice(later), random.choice(earlier))
