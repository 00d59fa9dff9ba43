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

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import perm

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, numbered, usable

# Draws after which a name may be of several couples.
_COUPLES_APART = 10
# A and B are the two names as they come first; S is the one of them that comes again.
SENTENCES = (
    "When {A} and {B} walked into the {place}, {S} handed a {thing} to",
    "After {A} and {B} came out of the {place}, {S} gave a {thing} to",
    "While {A} and {B} were waiting at the {place}, {S} passed a {thing} to",
    "Once {A} and {B} had found the {place}, {S} offered a {thing} to",
    "Last week {A} and {B} met at the {place}, and {S} sold a {thing} to",
    "Yesterday {A} and {B} cleaned the {place}, then {S} showed a {thing} to",
    "Because {A} and {B} were bored at the {place}, {S} threw a {thing} to",
    "As {A} and {B} talked behind the {place}, {S} slipped a {thing} to",
    "Before {A} and {B} drove home from the {place}, {S} gave a {thing} to",
    "This morning {A} and {B} toured the {place}, where {S} handed a {thing} to",
    "On Sunday {A} and {B} returned to the {place}, and {S} brought a {thing} to",
    "Although {A} and {B} argued outside the {place}, {S} still gave a {thing} to",
    "The guide saw {A} and {B} inside the {place}, where {S} showed a {thing} to",
    "At noon {A} and {B} sat down near the {place}, so {S} passed a {thing} to",
    "In the story {A} and {B} live above the {place}, and {S} often lends a {thing} to",
)
ORDERS = ("ABBA", "BABA")
NAMES = """
Mary John Tom James Anna Paul Sarah David Peter Laura Mark Emma Jack Alice Robert Kate Daniel Linda
Simon Julia Henry Helen Martin Jane Frank Susan George Lisa Adam Rachel Kevin Maria Richard Karen
Steven Amy Charles Nancy Brian Ruth William Diana Thomas Claire Michael Emily Andrew Jessica Joseph
Elizabeth Edward Rebecca Alex Sam
"""
PLACES = """
store park school library garden station museum hospital office restaurant kitchen market theater
hotel church house
"""
THINGS = """
book ring letter drink ball key basket bottle picture gift cup map ticket coat flower box
"""


def recipe(reader: Reader) -> Recipe:
    """A draw is both assignments of a couple of names; a variant beyond the orders has one of each."""
    return Recipe(
        "ioi",
        numbered(SENTENCES),
        len(ORDERS),
        {
            "name": usable("ioi", Words("names", reader.single(NAMES.split()), 5)),
            "place": usable("ioi", Words("places", reader.single(PLACES.split()))),
            "thing": usable("ioi", Words("objects", reader.single(THINGS.split()))),
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
