"""Does the verb agree with its subject, and not with the noun that stands between?

"The keys to the cabinet" is to go on with " are" rather than " is". The corrupted prompt has the
subject in the other number, which turns the answer round. `order` says which number the clean
subject is in; the noun between is in either number, at random.

Source  Linzen et al. 2016, Assessing the Ability of LSTMs to Learn Syntax-Sensitive Dependencies,
        arXiv:1611.01368 (the task; the sentences and lists are our own).
"""

from functools import partial
from math import perm

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, numbered

SENTENCES = (
    "We all know that the {subject} beside the {between}",
    "Honestly, your {subject} under her {between}",
    "As everyone can see, his {subject} from our {between}",
    "Do not worry: my {subject} behind their {between}",
    "Nobody believes me when I say the {subject} above your {between}",
    "Strange though this sounds, our {subject} next to his {between}",
    "Look! Her {subject} inside the {between}",
    "At this time of year the {subject} around my {between}",
    "Today, just like yesterday, their {subject} by the {between}",
    "She told me her {subject} on top of our {between}",
    "Mother swears their {subject} outside my {between}",
    "If you ask the guide, the best {subject} within her {between}",
    "In bad weather the {subject} opposite his {between}",
    "I wonder why your {subject} across from their {between}",
    "People often forget how beautiful the {subject} along the {between}",
    "Only one thing matters here: whether my {subject} against your {between}",
    "For some reason his {subject} below our {between}",
    "Photographs show that her {subject} to the left of their {between}",
    "Unlike mine, your {subject} beyond the {between}",
    "Though nobody lives there any more, the {subject} facing her {between}",
    "Every single morning our {subject} close to my {between}",
    "Let us hope his {subject} in front of your {between}",
    "Since last week's storm, my {subject} beneath their {between}",
    "Even in winter the neighbor's {subject} past the {between}",
)
NOUNS = """
key/keys book/books dog/dogs cat/cats picture/pictures house/houses car/cars tree/trees boat/boats
chair/chairs table/tables window/windows door/doors box/boxes flower/flowers bird/birds
letter/letters bottle/bottles cup/cups lamp/lamps horse/horses wall/walls hill/hills room/rooms
rock/rocks tower/towers stone/stones bridge/bridges ship/ships building/buildings sign/signs
statue/statues plant/plants truck/trucks clock/clocks plate/plates
"""
VERB = {"singular": " is", "plural": " are"}


def recipe(reader: Reader) -> Recipe:
    """Variants go through the numbers of subject and noun between, so that all four come alike."""
    pairs = [tuple(noun.split("/")) for noun in NOUNS.split()]
    nouns = [pair for pair in pairs if len(reader.single(pair)) == 2]
    return Recipe(
        "subject_verb",
        numbered(SENTENCES),
        4,
        {"noun": Words("nouns in both numbers", nouns, 2)},
        partial(_draw, reader),
        different=lambda words: perm(len(words["noun"]), 2),
        corrupted=lambda words: perm(len(words["noun"]), 2) * 4,
        shared=("the answers ' is' and ' are'",),
    )


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    plural, alike = variant % 2, variant // 2
    order, other = ("plural", "singular") if plural else ("singular", "plural")
    subject, between = pick.some("noun", 2)
    noun = between[plural if alike else 1 - plural]
    clean, ends = fill(SENTENCES[template], subject=subject[plural], between=noun)
    corrupted, _ = fill(SENTENCES[template], subject=subject[1 - plural], between=noun)
    made = pair(
        reader,
        clean,
        corrupted,
        (VERB[order], VERB[other]),
        template=f"s{template + 1:02}",
        order=order,
        ends={"subject": ends["subject"][0]},
        item=subject[0],
        fillers=(*subject, *between),
    )
    return [made]
