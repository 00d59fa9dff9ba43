"""Does the model tell the color of the one object that is asked for among three?

"On the table lie a red pen, a blue cup and a green book. The color of the cup is" is to go on with
" blue". The corrupted prompt asks for another of the three objects, whose color is the wrong
answer. `order` says in which place the object stands.

Source  Merullo et al. 2024, Circuit Component Reuse Across Tasks in Transformer Language Models,
        arXiv:2310.08744 (the task; the sentences and lists are our own).
"""

from __future__ import annotations

from functools import partial
from math import perm

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, numbered, usable

SCENES = (
    "On the table lie",
    "In the box we found",
    "She packed",
    "The shop sells",
    "Behind the door are",
    "He dropped",
    "My sister owns",
    "In the picture I see",
    "The thief took",
    "Under the bed there are",
    "For the party they bought",
    "The old woman kept",
    "On the shelf stand",
    "The children hid",
    "At the market we saw",
)
REST = (
    " a {color_0} {object_0}, a {color_1} {object_1} and a {color_2} {object_2}. "
    "The color of the {asked} is"
)
PLACES = ("first", "second", "third")
# The place of the object asked for, and that of the other one; every three go through all places.
_ASKED = ((0, 1), (1, 2), (2, 0), (0, 2), (1, 0), (2, 1))
COLORS = "red blue green yellow black white brown pink purple gray"
OBJECTS = """
pen cup book hat ball key bottle chair box bag ring coat lamp plate shirt clock flower basket
"""


def recipe(reader: Reader) -> Recipe:
    """Variants go through the place of the object asked for and that of the other one."""
    words = {
        "color": Words("colors", reader.single(COLORS.split()), 3),
        "object": Words("objects", reader.single(OBJECTS.split()), 3),
    }
    return Recipe(
        "colored_objects",
        numbered(SCENES),
        len(_ASKED),
        {name: usable("colored_objects", each) for name, each in words.items()},
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
    clean, ends = fill(SCENES[template] + REST, **words, asked=things[asked])
    corrupted, _ = fill(SCENES[template] + REST, **words, asked=things[other])
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
