"""Does the model document a function's arguments in the order in which they are defined?

Two of four arguments are documented; after the next ":param" the third is to come. The wrong answer
is the fourth, which is not documented yet either. The corrupted prompt defines four other arguments
above the same documentation.

Source  Heimersheim & Janiak 2023, A circuit for Python docstrings in a 4-layer attention-only
        transformer (the task; the functions and lists are our own).
"""

from __future__ import annotations

from functools import partial
from math import perm

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, usable

TEXT = '''def {function}(self, {first}, {second}, {third}, {fourth}):
    """{summary}

    :param {first_again}: the {one}
    :param {second_again}: the {two}
    :param'''
FUNCTIONS = (
    ("load", "Read it back from the disk."),
    ("send", "Pass it on to the other side."),
    ("draw", "Put a figure on the page."),
    ("merge", "Make one of two."),
    ("check", "Complain unless all is well."),
    ("build", "Make everything that is missing."),
    ("search", "Find what was asked for."),
    ("store", "Keep it for later."),
    ("update", "Bring it up to the present."),
    ("remove", "Take it away for good."),
    ("start", "Begin to listen."),
    ("render", "Show it as text."),
    ("parse", "Turn text into parts."),
    ("sort", "Put them into their order."),
    ("reset", "Go back to the beginning."),
)
WORDS = """
size file name text line path type data value list key state index color width height order level
group page time code user image version field table note shape model
"""


def recipe(reader: Reader) -> Recipe:
    """Ten different words a prompt: four arguments, four others, and two that document."""
    words = Words("argument names", reader.single(WORDS.split()), 10)
    return Recipe(
        "docstring",
        tuple(function for function, _ in FUNCTIONS),
        1,
        {"word": usable("docstring", words)},
        partial(_draw, reader),
        different=lambda words: perm(len(words["word"]), 10),
        corrupted=lambda words: perm(len(words["word"]), 10),
    )


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    drawn = pick.some("word", 10)
    here, there, (one, two) = drawn[:4], drawn[4:8], drawn[8:]
    function, summary = FUNCTIONS[template]
    documented = {"first_again": here[0], "second_again": here[1], "one": one, "two": two}
    same = {"function": function, "summary": summary, **documented}
    clean, ends = fill(TEXT, **_defined(here), **same)
    corrupted, _ = fill(TEXT, **_defined(there), **same)
    named = ("first", "second", "third", "fourth", "first_again", "second_again")
    made = pair(
        reader,
        clean,
        corrupted,
        (f" {here[2]}", f" {here[3]}"),
        template=function,
        ends={name: ends[name][0] for name in named},
        item=here[2],
        fillers=drawn,
    )
    return [made]


def _defined(arguments: list[str]) -> dict[str, str]:
    return dict(zip(("first", "second", "third", "fourth"), arguments, strict=True))
