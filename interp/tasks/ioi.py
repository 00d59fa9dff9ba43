"""Does the model name the one to whom something is given, and not the giver again?

Two names, one of which comes a second time: "When Mary and John …, John gave a ring to" is to go on
with " Mary". In ABBA sentences the indirect object (IO) comes first, in BABA sentences the subject
(S). Every sentence comes with both assignments of its two names, which cancels the model's liking
for a name. `corrupted` has three other names, which leaves nothing to answer. The other corruptions
keep the two: `flip` repeats the indirect object instead of the subject, which turns the answer round;
`swap` exchanges the first two names, which keeps the answer but not where the repeated name stood;
`flip_swap` does both, so that another name is repeated that stood where the repeated one stands.

Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593 (the task; the sentences
        and lists are our own).
"""

from dataclasses import replace
from functools import partial
from math import perm

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, numbered

# Draws after which a name may be of several couples.
_COUPLES_APART = 10
# A and B are the two names as they come first; S is the one of them that comes again.
SENTENCES = (
    "When {A} and {B} walked into the {place}, {S} handed a {thing} to",
    "After lunch {A} joined {B} outside, where {S} soon sold an old {thing} to",
    "Because it was raining, {A} shared one umbrella with {B}; later that evening {S} said thanks to",
    "Everybody at the {place} knew that {A} loved {B}, so nobody laughed when {S} read a poem to",
    "Last Friday {A} and {B} met by chance. They talked for hours about their childhood, and before "
    "leaving {S} promised to write a long letter to",
    "Two tired travelers, {A} and {B}, found just one empty bench; {S} kindly offered the better seat to",
    "My neighbors {A} and {B} are both terrible cooks, yet every Sunday {S} bakes something for",
    "The match between {A} and {B} ended in a draw, after which {S} bowed politely to",
    "According to this story, {A} rescued {B} from a burning ship, and years afterwards {S} wrote music for",
    "As {A} was dancing with {B}, somebody turned off all lights, which gave {S} courage to whisper sweet "
    "words to",
    "Our teacher introduced {A} to {B} yesterday. Since then, {S} has been sending flowers to",
    "Neither {A} nor {B} had any money left, until {S} found coins under the sofa and gave half of them to",
    "At breakfast, {A} argued over politics with {B} again; {S} finally threw a {thing} at",
    "Before sunrise {A} woke up {B} quietly, then {S} poured hot coffee for",
    "It took {A} and {B} three weeks to build that boat, and now {S} wants to buy it from",
    "During the flight {A} sat next to {B}. Halfway across the ocean {S} began telling jokes to",
    "Although {A} had never trusted {B}, on Monday morning {S} decided to lend the {thing} to",
    "As children {A} and {B} lived near the same {place}; even today {S} sometimes mails postcards to",
    "Through a mutual friend {A} got to know {B}, and within months {S} proposed marriage to",
    "Nobody except {A} and {B} remained; without one word {S} pushed the {thing} over to",
    "There were just two players left, {A} and {B}; holding no good cards, {S} surrendered to",
    "For years {A} has competed against {B}, but this winter {S} lost everything to",
    "Deep inside the forest {A} came upon {B}; both were frightened, so slowly {S} held out a hand to",
    "Cousins {A} and {B} inherited their grandmother's cottage together, though last summer {S} sold "
    "one half to",
)
ORDERS = ("ABBA", "BABA")
NAMES = """
Mary John Tom James Anna Paul Sarah David Peter Laura Mark Emma Jack Alice Robert Kate Daniel Linda
Simon Julia Henry Helen Martin Jane Frank Susan George Lisa Adam Rachel Kevin Maria Richard Karen
Steven Amy Charles Nancy Brian Ruth William Diana Thomas Claire Michael Emily Andrew Jessica Joseph
Elizabeth Edward Rebecca Alex Sam Arthur Anne Oliver Lucy Patrick Charlotte Walter Catherine
"""
PLACES = """
store park school library garden station museum hospital office restaurant kitchen market theater
hotel church house bank palace castle airport
"""
THINGS = """
book ring letter drink ball key basket bottle picture gift cup map ticket coat flower box knife watch
pen hat
"""


def recipe(reader: Reader) -> Recipe:
    """A draw is both assignments of a couple of names; a variant beyond the orders has one of each."""
    return Recipe(
        "ioi",
        numbered(SENTENCES),
        len(ORDERS),
        {
            "name": Words("names", reader.single(NAMES.split()), 5),
            "place": Words("places", reader.single(PLACES.split())),
            "thing": Words("objects", reader.single(THINGS.split())),
        },
        partial(_draw, reader),
        different=lambda words: perm(len(words["name"]), 2) // 2,
        # Where the two names stay, they stand in either order and either is repeated.
        corrupted=lambda words: perm(len(words["name"]), 2) * 2,
        at_once=2,
    )


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    couple = _couple(pick)
    words = pick.slots(SENTENCES[template], "place", "thing")
    orders = (ORDERS[variant],) * 2 if variant < len(ORDERS) else ORDERS
    return [
        _prompt(reader, template, order, assigned, pick.some("name", 3, avoid=couple), words)
        for order, assigned in zip(orders, (couple, couple[::-1]), strict=True)
    ]


def _couple(pick: Pick) -> tuple[str, str]:
    """Two names. No name is in two couples unless those do not make another prompt."""
    names = pick.words["name"]
    if pick.haste > _COUPLES_APART:
        first, second = pick.random.sample(names, 2)
    else:
        couples = list(zip(names[::2], names[1::2], strict=False))
        first, second = pick.random.sample(pick.among("couple", couples)[0], 2)
    return first, second


def _prompt(
    reader: Reader,
    number: int,
    order: str,
    couple: tuple[str, str],
    strangers: list[str],
    words: dict[str, str],
) -> Prompt:
    template = SENTENCES[number]
    io, subject = couple
    first = {"A": io, "B": subject} if order == "ABBA" else {"A": subject, "B": io}
    clean, ends = fill(template, **first, S=subject, **words)
    swapped = {"A": first["B"], "B": first["A"]}
    others = {
        name: fill(template, **names, S=repeated, **words)[0]
        for name, names, repeated in (
            ("flip", first, io),
            ("swap", swapped, subject),
            ("flip_swap", swapped, io),
        )
    }
    corrupted, _ = fill(template, **dict(zip("ABS", strangers, strict=True)), **words)
    io_end, s1_end = (ends["A"], ends["B"]) if order == "ABBA" else (ends["B"], ends["A"])
    made = pair(
        reader,
        clean,
        corrupted,
        (f" {io}", f" {subject}"),
        template=f"s{number + 1:02}",
        order=order,
        ends={"IO": io_end[0], "S1": s1_end[0], "S2": ends["S"][0]},
        others=others,
        item="/".join(sorted(couple)),
        fillers=(*couple, *strangers, *words.values()),
    )
    # Of the word after S1 the first token, be it one or several.
    return replace(made, positions={**made.positions, "S1+1": made.positions["S1"] + 1})
