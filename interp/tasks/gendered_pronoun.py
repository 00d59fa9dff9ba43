"""Does the model refer to a person by the pronoun that goes with the name?

"Everyone likes Mary because" is to go on with " she" rather than " he". The corrupted prompt has a
name of the other kind. Every sentence comes with both: `order` says which kind the clean name is
of.

Source  Mathwin et al. 2023, Identifying a preliminary circuit for predicting gendered pronouns in
        GPT-2 small (the task; the sentences and lists are our own).
"""

from functools import partial

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Vocabulary, Words, numbered

SENTENCES = (
    "Everyone in the {place} likes {name} because",
    "We waited an hour outside the {place} for {name}, but",
    "Standing beside the {place}, our teacher asked {name} whether",
    "Nobody at the {place} had told {name} what",
    "They say that {name} left the {place} early, because",
    "A doctor saw {name} near this {place} today, and",
    "I wanted to give {name} a {thing}, but",
    "Each night, alone in that {place}, {name} wrote down everything",
    "In the end {name} was happy with the {thing}, since",
    "Although {name} was very tired after the long walk to the {place},",
    "When {name} came home from the {place},",
    "If {name} does not find the {thing} soon,",
    '"Where is my {thing}?" asked {name}, and then',
    "The longer {name} looked at the {thing}, the more",
    "As soon as {name} had opened the {thing},",
    "Years ago {name} moved away from our {place}; these days",
    "No matter how hard {name} tried to repair the {thing},",
    "It was only later, back in the {place}, that {name} understood what",
    "Here comes {name} with a {thing}! How tired",
    "Before {name} could say another word about the {thing},",
    "To be honest, {name} never knew as much about this {place} as",
    "On the phone yesterday {name} told us which {thing}",
    "Why did {name} sell that {thing}? Perhaps",
    "Ask {name} for the {thing} tomorrow, unless",
)
FEMALE = """
Mary Anna Sarah Laura Emma Alice Kate Linda Julia Helen Jane Susan Lisa Rachel Maria Karen Amy Nancy
Ruth Diana Claire Emily Jessica Elizabeth Rebecca Barbara Anne Margaret Fanny Harriet Lucy Charlotte
Catherine Ellen Polly Dorothy
"""
MALE = """
John Tom James Paul David Peter Jack Robert Daniel Simon Henry Martin Frank George Adam Kevin
Richard Steven Charles Brian William Thomas Michael Andrew Joseph Edward Arthur Oliver Jim Joe Bob
Dick Ralph Walter Philip Stephen
"""
PLACES = """
store school garden station office kitchen church house village forest bank shop city town hall palace
prison island valley camp inn port cottage library museum hotel market hospital castle
"""
THINGS = """
book ring letter ball key picture coat box knife watch pen paper hat chair candle sword dress bell
basket bottle lamp bag clock map ball glass gun note
"""
KINDS = ("female", "male")
PRONOUN = {"female": " she", "male": " he"}


def recipe(reader: Reader) -> Recipe:
    """The first variant has a woman's name in the clean prompt, the second a man's."""
    words = {
        "female": Words("women's names", reader.single(FEMALE.split())),
        "male": Words("men's names", reader.single(MALE.split())),
        "place": Words("places", reader.single(PLACES.split())),
        "thing": Words("objects", reader.single(THINGS.split())),
    }
    return Recipe(
        "gendered_pronoun",
        numbered(SENTENCES),
        len(KINDS),
        words,
        partial(_draw, reader),
        different=lambda words: len(words["female"]) * len(words["male"]) * _settings(words),
        corrupted=lambda words: (len(words["female"]) + len(words["male"])) * _settings(words),
        shared=("the answers ' he' and ' she'",),
    )


def _settings(words: Vocabulary) -> int:
    return min(len(words["place"]), len(words["thing"]))


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    kind, other = KINDS[variant], KINDS[1 - variant]
    here, there = pick.one(kind), pick.one(other)
    words = pick.slots(SENTENCES[template], "place", "thing")
    clean, ends = fill(SENTENCES[template], name=here, **words)
    corrupted, _ = fill(SENTENCES[template], name=there, **words)
    made = pair(
        reader,
        clean,
        corrupted,
        (PRONOUN[kind], PRONOUN[other]),
        template=f"s{template + 1:02}",
        order=kind,
        ends={"name": ends["name"][0]},
        item=here,
        fillers=(here, there, *words.values()),
    )
    return [made]
