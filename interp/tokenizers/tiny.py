"""The tokenizer of the tiny models: a token for every byte and for a few hundred English words.

A word is one token together with the space before it, so prompts about people, places and things
split as they do in a real model; every other text splits into bytes, so nothing is lost.
"""

from functools import lru_cache
from typing import Any

from interp.tokenizers.letters import END, wrapped

_NAMES = """
Aaron Adam Alex Alexander Alice Allison Amanda Amber Amy Andrea Andrew Angela Anna Anthony Ashley
Ben Benjamin Bob Bradley Brandon Brian Brittany Bryan Carol Charles Chris Christina Christine
Christopher Cody Courtney Crystal Dan Daniel Danielle David Diana Dustin Elizabeth Emily Emma Eric
Erica Erin Frank George Grace Greg Gregory Heather Helen Henry Jack Jacob James Jamie Jane Jason
Jeffrey Jennifer Jeremy Jesse Jessica Jim Joe John Jonathan Jose Joseph Joshua Julia Justin Kate
Katherine Katie Kelly Kenneth Kevin Kimberly Kristen Kyle Laura Lauren Lindsay Lindsey Lisa Luke
Maria Mark Martin Mary Matthew Max Megan Melissa Michael Michelle Mike Nathan Nicholas Nick Nicole
Oliver Patrick Paul Peter Rachel Rebecca Richard Robert Rose Ruth Ryan Sam Samantha Samuel Sara
Sarah Scott Sean Shannon Simon Sophia Stephanie Stephen Steve Steven Susan Thomas Tiffany Tim
Timothy Tom Travis Tyler Vanessa Victoria William Zachary
"""
_WORDS = """
a about after afternoon again all also an and argument are argued as asked at ball bank bar
basketball be beach because been before began bone book bought bottle box boy bread bring brought
building but buy by cabinet cafe came can capital car cat children church city cloud coffee come
computer conversation could country cup cut day debate decided did dog door drink during each eat
enjoyed evening every father fell finally first fish flower food for forest found friend friends
from fun funny garden gave get gift girl give given glass go going gone good got great had handed
has hat have he head her here him his home hospital hotel house how if in into is it its job keep
key keys kind kiss kitchen knew knife lake last lasted later left letter library like little long
looking lost lot made make man many map market me meeting men met morning most mother moved much
museum music my necklace need new newspaper next nice night no not note now object of off offer
offered office old on one only or other our out over owner painting paper park party passed pen
people phone picture pizza place plan plane planned played present pub put rain read restaurant
ring river road room said sandwich sat saw say school see sell send sent she shop show sister
small snack so sold some song station stop store story street table take talked teacher tell than
that the their them then there these they thing think this those thought time to told took town
toy train tree two under up us very visit wait walked wanted war was water way we wedding week well
went were what when where which while who will window wine with woman women wood word work working
world would year years yesterday you your zoo
Paris France London England Berlin Germany Rome Italy Madrid Spain Vienna Austria Tokyo Japan
Moscow Russia Beijing China Cairo Egypt Athens Greece Oslo Norway Warsaw Poland Lisbon Portugal
"""


@lru_cache(maxsize=1)
def vocabulary() -> dict[str, int]:
    """Token to id: the end of a text, the 256 bytes, every word after a space, and with a capital
    every word at the start of a text."""
    from tokenizers import pre_tokenizers

    words = [*_NAMES.split(), *_WORDS.split()]
    spelt = dict.fromkeys(form for word in words for form in (word, word[0].upper() + word[1:]))
    starts = [word for word in spelt if word[0].isupper()]
    # "Ġ" is the byte-level alphabet's spelling of a space.
    tokens = [END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokens += [*(f"Ġ{word}" for word in words), *starts]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def tokenizer(name: str) -> Any:
    """The tokenizer, as Hugging Face's class; `name` is what it says it was loaded from."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    # With no merges, a piece is a word of the vocabulary or is split into its bytes.
    backend = Tokenizer(models.BPE(vocab=vocabulary(), merges=[], ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    return wrapped(backend, name_or_path=name)
