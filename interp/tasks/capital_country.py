"""Does the model know the capital of a country?

"The capital of Austria is the city of" is to go on with " Vienna". The corrupted prompt asks for
another country, whose capital is the wrong answer.

Source  Merullo et al. 2023, Language Models Implement Simple Word2Vec-style Vector Arithmetic,
        arXiv:2305.16130 (the task; the sentences are our own).
"""

from functools import partial
from math import perm

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, numbered

SENTENCES = (
    "My {who} says that the capital of {country} is the city of",
    "If your {who} travels through {country}, do not miss its capital,",
    "Q: Dear {who}, which town is the seat of government in {country}? A:",
    "In class our {who} taught us to say that people govern {country} from",
    "After one week around {country}, her {who} flew home from the largest airport, that of",
    "I bought a map of {country} for my {who} and drew a red circle around the capital,",
    "The {who} wanted to photograph the parliament of {country}, so we drove downtown to the heart of",
    "Embassies in {country}, as any {who} can tell you, all stand in the same city:",
    "Born and raised in {country}, this {who} had never left the capital city,",
    "Two hours later the train carrying my {who} crossed into {country} and soon reached its capital,",
    "Homework from your {who}: beside {country}, write the name of its capital,",
    "Mail for the government of {country} goes, said the {who}, to an address in",
    "News just reached our {who} from {country}: thousands marched peacefully through the capital,",
    "There are many fine cities in {country}, but only one capital, and every {who} knows it:",
    "Football fans from {country} celebrated all night, his {who} reported live from the capital,",
    "Please book my {who} a flight to {country}; the ministry sits in",
    "Although small, {country} impressed his {who}, above all with its capital,",
    "Capital cities quiz, question nine, for the {who}: {country}. Correct answer:",
    "She married a diplomat from {country} and moved with her {who} to his office in the capital,",
    "Rather than tour the whole of {country}, that {who} spent May entirely in the capital,",
    "On one side of their coin you see the arms of {country}; below, as her {who} noticed, stands the "
    "name of its capital,",
    "Nobody rules {country} without first winning over, as their {who} puts it, the people of its capital,",
    "How long did the {who} stay in {country}? Three days, most of them in the capital,",
    "Because {country} has its parliament there, the {who} opened a second office in",
)
WHO = """
friend teacher brother sister cousin doctor lawyer driver student writer painter nurse neighbor guide
colleague father mother boss sailor pilot captain professor singer farmer journalist poet tourist
soldier priest daughter son manager
"""
CAPITALS = """
Austria/Vienna France/Paris England/London Germany/Berlin Italy/Rome Spain/Madrid Japan/Tokyo
Russia/Moscow China/Beijing Egypt/Cairo Greece/Athens Norway/Oslo Poland/Warsaw Portugal/Lisbon
Sweden/Stockholm Denmark/Copenhagen Finland/Helsinki Ireland/Dublin Cuba/Havana Peru/Lima
Iran/Tehran Iraq/Baghdad Syria/Damascus Kenya/Nairobi Thailand/Bangkok Hungary/Budapest
Belgium/Brussels Switzerland/Bern Canada/Ottawa Afghanistan/Kabul Ukraine/Kiev Turkey/Ankara
Bulgaria/Sofia Scotland/Edinburgh Wales/Cardiff Chile/Santiago Korea/Seoul Israel/Jerusalem
Philippines/Manila India/Delhi Netherlands/Amsterdam Australia/Canberra Tunisia/Tunis
Jamaica/Kingston Lebanon/Beirut Vietnam/Hanoi Indonesia/Jakarta Taiwan/Taipei
"""


def recipe(reader: Reader) -> Recipe:
    """Every country is asked for about as often as any other."""
    known = [tuple(pair.split("/")) for pair in CAPITALS.split()]
    countries = [each for each in known if len(reader.single(each)) == 2]
    words = {
        "country": Words("countries with their capitals", countries, 2),
        "who": Words("people", reader.single(WHO.split())),
    }
    return Recipe(
        "capital_country",
        numbered(SENTENCES),
        1,
        words,
        partial(_draw, reader),
        different=lambda words: perm(len(words["country"]), 2) * len(words["who"]),
        corrupted=lambda words: len(words["country"]) * len(words["who"]),
    )


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    here, there = pick.some("country", 2)
    who = pick.one("who")
    clean, ends = fill(SENTENCES[template], country=here[0], who=who)
    corrupted, _ = fill(SENTENCES[template], country=there[0], who=who)
    made = pair(
        reader,
        clean,
        corrupted,
        (f" {here[1]}", f" {there[1]}"),
        template=f"s{template + 1:02}",
        ends={"country": ends["country"][0]},
        item=here[0],
        fillers=(*here, *there, who),
    )
    return [made]
