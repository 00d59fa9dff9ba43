"""Templates are 24 different sentences: no two share more than half of their words."""

import re
import string
from collections import Counter
from importlib import import_module
from itertools import combinations

import pytest

from interp import tasks

NAMES = [name for name in tasks.names() if name != "induction"]


def sentences(name):
    return import_module(f"interp.tasks.{name}").SENTENCES


def wording(template):
    """The words outside the slots, lower-cased and without punctuation."""
    literals = " ".join(literal for literal, *_ in string.Formatter().parse(template))
    return Counter(re.findall(r"\w+", literals.replace("'", "").lower()))


def shared(one, other):
    return (one & other).total() / min(one.total(), other.total())


@pytest.mark.parametrize("name", NAMES)
def test_no_two_templates_share_more_than_half_of_their_words(name):
    words = [wording(template) for template in sentences(name)]
    assert len(words) >= 24
    for (first, one), (second, other) in combinations(enumerate(words, 1), 2):
        assert shared(one, other) <= 0.5, (first, second, sorted((one & other).elements()))


@pytest.mark.parametrize("name", NAMES)
def test_templates_vary_in_length_and_in_the_distance_from_the_slots_to_the_end(name):
    after = Counter(wording(template.rpartition("}")[2]).total() for template in sentences(name))
    lengths = {wording(template).total() for template in sentences(name)}
    assert len(lengths) >= 5
    assert max(lengths) >= 2 * min(lengths)
    # Some end in a slot by what they ask for.
    assert len(after) >= 4 or after[0] == len(sentences(name)) or name == "colored_objects"


@pytest.mark.parametrize("name", NAMES)
def test_no_word_of_a_list_stands_in_a_template_already(name, tokenizer):
    source = tasks.build(name, tokenizer).source
    words = {str(word) for each in source.recipe.words.values() for word in _flat(each.all)}
    assert not words & set().union(*map(wording, sentences(name)))


def _flat(words):
    return [each for word in words for each in (word if isinstance(word, tuple) else (word,))]


def test_the_overlap_would_be_found():
    one, other = wording("The {a} of the {b} is"), wording("The {a}, and the {c} is")
    assert shared(one, other) == pytest.approx(3 / 4)
