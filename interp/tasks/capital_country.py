"""Does the model know the capital of a country?

"The capital of Austria is the city of" is to go on with " Vienna". The corrupted prompt asks for
another country, whose capital is the wrong answer.

Source  Merullo et al. 2023, Language Models Implement Simple Word2Vec-style Vector Arithmetic,
        arXiv:2305.16130 (the task; the sentences are our own).
"""

from __future__ import annotations

from functools import partial
from math import perm

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, numbered, usable

SENTENCES = (
    "The capital of {country} is the city of",
    "If you travel to {country}, do not miss its capital,",
    "The government of {country} sits in the capital,",
    "In class we learned that the capital of {country} is",
    "Q: What is the capital of {country}? A:",
    "As everybody knows, the capital city of {country} is",
    "The parliament of {country} meets in the city of",
    "After a week in {country} we flew home from the capital,",
    "The largest embassy in {country} is in the capital,",
    "Her plane landed in {country}, in the capital city of",
    "The president of {country} spoke yesterday in the capital,",
    "The national museum of {country} is in",
    "The train took us through {country} to its capital,",
    "A map of {country} shows the capital,",
    "He was born in {country}, in the capital,",
)
CAPITALS = """
Austria/Vienna France/Paris England/London Germany/Berlin Italy/Rome Spain/Madrid Japan/Tokyo
Russia/Moscow China/Beijing Egypt/Cairo Greece/Athens Norway/Oslo Poland/Warsaw Portugal/Lisbon
Sweden/Stockholm Denmark/Copenhagen Finland/Helsinki Ireland/Dublin Cuba/Havana Peru/Lima
Iran/Tehran Iraq/Baghdad Syria/Damascus Kenya/Nairobi Thailand/Bangkok Hungary/Budapest
Belgium/Brussels Switzerland/Bern Canada/Ottawa Afghanistan/Kabul Ukraine/Kiev Turkey/Ankara
"""


def recipe(reader: Reader) -> Recipe:
    """Every country is asked for about as often as any other."""
    known = [tuple(pair.split("/")) for pair in CAPITALS.split()]
    countries = [each for each in known if len(reader.single(each)) == 2]
    words = Words("countries with their capitals", countries, 2)
    return Recipe(
        "capital_country",
        numbered(SENTENCES),
        1,
        {"country": usable("capital_country", words)},
        partial(_draw, reader),
        different=lambda words: perm(len(words["country"]), 2),
        corrupted=lambda words: len(words["country"]),
    )


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    here, there = pick.some("country", 2)
    clean, ends = fill(SENTENCES[template], country=here[0])
    corrupted, _ = fill(SENTENCES[template], country=there[0])
    made = pair(
        reader,
        clean,
        corrupted,
        (f" {here[1]}", f" {there[1]}"),
        template=f"s{template + 1:02}",
        ends={"country": ends["country"][0]},
        item=here[0],
        fillers=(*here, *there),
    )
    return [made]
