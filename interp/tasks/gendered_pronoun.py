"""Does the model refer to a person by the pronoun that goes with the name?

"Everyone likes Mary because" is to go on with " she" rather than " he". The corrupted prompt has a
name of the other kind. Every sentence comes with both: `order` says which kind the clean name is
of.

Source  Mathwin et al. 2023, Identifying a preliminary circuit for predicting gendered pronouns in
        GPT-2 small (the task; the sentences and lists are our own).
"""

from __future__ import annotations

from functools import partial

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, numbered, usable

SENTENCES = (
    "Everyone likes {name} because",
    "We waited an hour for {name}, but",
    "The teacher asked {name} whether",
    "Nobody had told {name} that",
    "They say that {name} went home because",
    "The doctor saw {name} this morning, and",
    "I wanted to call {name}, but",
    "My brother knew {name} well, since",
    "In the end {name} was happy because",
    "The neighbors invited {name} again, although",
    "We could not find {name} where",
    "Last year {name} moved away because",
    "The reporter wrote that {name} won because",
    "The coach praised {name} after",
    "On the phone {name} told us that",
)
FEMALE = """
Mary Anna Sarah Laura Emma Alice Kate Linda Julia Helen Jane Susan Lisa Rachel Maria Karen Amy Nancy
Ruth Diana Claire Emily Jessica Elizabeth Rebecca Barbara
"""
MALE = """
John Tom James Paul David Peter Jack Robert Daniel Simon Henry Martin Frank George Adam Kevin
Richard Steven Charles Brian William Thomas Michael Andrew Joseph Edward
"""
KINDS = ("female", "male")
PRONOUN = {"female": " she", "male": " he"}


def recipe(reader: Reader) -> Recipe:
    """The first variant has a woman's name in the clean prompt, the second a man's."""
    words = {
        "female": Words("women's names", reader.single(FEMALE.split())),
        "male": Words("men's names", reader.single(MALE.split())),
    }
    return Recipe(
        "gendered_pronoun",
        numbered(SENTENCES),
        len(KINDS),
        {name: usable("gendered_pronoun", each) for name, each in words.items()},
        partial(_draw, reader),
        different=lambda words: len(words["female"]) * len(words["male"]),
        corrupted=lambda words: len(words["female"]) + len(words["male"]),
        shared=("the answers ' he' and ' she'",),
    )


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    kind, other = KINDS[variant], KINDS[1 - variant]
    here, there = pick.one(kind), pick.one(other)
    clean, ends = fill(SENTENCES[template], name=here)
    corrupted, _ = fill(SENTENCES[template], name=there)
    made = pair(
        reader,
        clean,
        corrupted,
        (PRONOUN[kind], PRONOUN[other]),
        template=f"s{template + 1:02}",
        order=kind,
        ends={"name": ends["name"][0]},
        item=here,
        fillers=(here, there),
    )
    return [made]
