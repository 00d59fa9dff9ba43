"""Does the model tell the color of the one object that is asked for among three?

"On the table lie a red pen, a blue cup and a green book. The color of the cup is" is to go on with
" blue". The corrupted prompt asks for another of the three objects, whose color is the wrong
answer. `order` says in which place the object stands.

Source  Merullo et al. 2024, Circuit Component Reuse Across Tasks in Transformer Language Models,
        arXiv:2310.08744 (the task; the sentences and lists are our own).
"""

from functools import partial
from math import perm

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, numbered

SENTENCES = (
    "On the table lie a {color_0} {object_0}, a {color_1} {object_1} and a {color_2} {object_2}. The "
    "color of the {asked} is",
    "Packing list: {color_0} {object_0}, {color_1} {object_1}, {color_2} {object_2}. Remember, your "
    "{asked} should be",
    "My sister owns one {color_0} {object_0}, one {color_1} {object_1} plus one {color_2} {object_2}. "
    "What color is her {asked}? It is",
    "He dropped his {color_0} {object_0} first, then his {color_1} {object_1}, finally his {color_2} "
    "{object_2}; so the {asked} he dropped was",
    "Behind that door stand three things: her {color_0} {object_0}, her {color_1} {object_1}, and her "
    "{color_2} {object_2}. Color of paint used for the {asked}:",
    "Dear diary, today I bought a {color_0} {object_0}. Later I also bought a {color_1} {object_1}, and "
    "at last a {color_2} {object_2}. Everybody laughed that my {asked} was",
    "The thief took no money; only our {color_0} {object_0}, our {color_1} {object_1}, our {color_2} "
    "{object_2}. Police asked about the stolen {asked}, and we told them it was",
    "Inventory. Shelf one: {color_0} {object_0}. Shelf two: {color_1} {object_1}. Shelf three: "
    "{color_2} {object_2}. Recorded color, {asked}:",
    "Ann painted the {color_0} {object_0}, Bob the {color_1} {object_1}, Carl the {color_2} {object_2}. "
    "When asked which paint had been used on that {asked}, they all answered:",
    "If the {color_0} {object_0} costs two dollars, the {color_1} {object_1} four, and the {color_2} "
    "{object_2} seven, then how do we describe the {asked}? We call it",
    "Children drew pictures: Lily drew a {color_0} {object_0}, Max a {color_1} {object_1}, Tim a "
    "{color_2} {object_2}. Crayon needed for drawing the {asked}:",
    "Under her bed there used to be a {color_0} {object_0} beside a {color_1} {object_1} upon a "
    "{color_2} {object_2}. Nowadays she hardly remembers that the {asked} was once",
    "Grandfather left me his {color_0} {object_0}, with his {color_1} {object_1} and also his {color_2} "
    "{object_2}. Though faded, the {asked} still looks",
    "Q: A box holds one {color_0} {object_0}, one {color_1} {object_1}, one {color_2} {object_2}. Which "
    "color has the {asked}? A:",
    "Between a {color_0} {object_0} and a {color_1} {object_1} stood a {color_2} {object_2}. It "
    "surprised nobody to hear the {asked} described as",
    "For sale: {color_0} {object_0} (used), {color_1} {object_1} (new), {color_2} {object_2} (broken). "
    "Call us if you want this {asked}, which is",
    "They gave Mary the {color_0} {object_0}, John the {color_1} {object_1}, Peter the {color_2} "
    "{object_2}, so whoever received the {asked} got something",
    "In the dark we could not tell whose {color_0} {object_0}, {color_1} {object_1} or {color_2} "
    "{object_2} was whose; by daylight, however, the {asked} was clearly",
    "Whenever it rains, the {color_0} {object_0}, the {color_1} {object_1} and the {color_2} {object_2} "
    "get wet. Wet or dry, that {asked} stays",
    "Not far from a {color_0} {object_0} lay somebody's {color_1} {object_1} and somebody's {color_2} "
    "{object_2}. Our dog ran straight towards the {asked}, perhaps because dogs like the color",
    "Write down what you see: first, {color_0} {object_0}; second, {color_1} {object_1}; third, "
    "{color_2} {object_2}. Now close both eyes. Was the {asked} big? Yes, big and",
    "Visitors to the museum admire its {color_0} {object_0}, its {color_1} {object_1}, its {color_2} "
    "{object_2}. A postcard shows the famous {asked} in bright",
    "With glue, Tom stuck a {color_0} {object_0} onto his {color_1} {object_1}, then stuck both onto a "
    "{color_2} {object_2}; looking closer, you notice that its {asked} is",
    "Orders this week: Smith, {color_0} {object_0}; Jones, {color_1} {object_1}; Miller, {color_2} "
    "{object_2}. Ship the {asked} in",
)
PLACES = ("first", "second", "third")
# The place of the object asked for, and that of the other one; every three go through all places.
_ASKED = ((0, 1), (1, 2), (2, 0), (0, 2), (1, 0), (2, 1))
COLORS = "red blue green yellow black white brown pink purple gray gold silver"
OBJECTS = """
pen cup book hat ball key bottle chair box bag ring coat lamp plate shirt clock flower basket table
knife dress spoon bowl boat toy shoe glove towel pillow candle belt jar vase blanket rope bell
"""


def recipe(reader: Reader) -> Recipe:
    """Variants go through the place of the object asked for and that of the other one."""
    words = {
        "color": Words("colors", reader.single(COLORS.split()), 3),
        "object": Words("objects", reader.single(OBJECTS.split()), 3),
    }
    return Recipe(
        "colored_objects",
        numbered(SENTENCES),
        len(_ASKED),
        words,
        partial(_draw, reader),
        different=lambda words: perm(len(words["color"]), 3) * perm(len(words["object"]), 3),
        corrupted=lambda words: perm(len(words["color"]), 3) * perm(len(words["object"]), 3),
    )


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    asked, other = _ASKED[variant]
    hues, things = pick.some("color", 3), pick.some("object", 3)
    pick.random.shuffle(hues)
    words = {f"color_{place}": hue for place, hue in enumerate(hues)}
    words |= {f"object_{place}": thing for place, thing in enumerate(things)}
    clean, ends = fill(SENTENCES[template], **words, asked=things[asked])
    corrupted, _ = fill(SENTENCES[template], **words, asked=things[other])
    named = {
        "color": ends[f"color_{asked}"][0],
        "object": ends[f"object_{asked}"][0],
        "asked": ends["asked"][0],
    }
    made = pair(
        reader,
        clean,
        corrupted,
        (f" {hues[asked]}", f" {hues[other]}"),
        template=f"s{template + 1:02}",
        order=PLACES[asked],
        ends=named,
        item=hues[asked],
        fillers=(*hues, *things),
    )
    return [made]
