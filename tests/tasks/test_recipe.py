"""Prompts are dealt so that templates, variants and words come alike, and none twice."""

from collections import Counter
from random import Random

import pytest

from interp.errors import UsageError
from interp.tasks.base import Prompt
from interp.tasks.recipe import Pick, Recipe, Words, capacity, make, usable

WORDS = {"word": (1, 2, 3), "other": (10, 20)}


def draw(template, variant, pick):
    tokens = (template, variant, pick.one("word"))
    corrupted = (*tokens, pick.one("other"))
    return [
        Prompt(
            "",
            "",
            "",
            "",
            tokens,
            corrupted,
            0,
            1,
            template=str(template),
            cluster="",
            order=str(variant),
        )
    ]


@pytest.fixture
def recipe():
    lists = {name: Words(name, words) for name, words in WORDS.items()}
    return Recipe("this", ("a", "b"), 2, lists, draw, lambda words: 6, lambda words: 6)


def test_as_many_as_there_can_be_are_made_and_all_are_different(recipe):
    most = capacity(recipe, 2, WORDS)
    made = make(recipe, (0, 1), WORDS, most, Random(0))
    assert len({prompt.corrupted_tokens for prompt in made}) == most == 24


def test_templates_and_their_variants_come_alike(recipe):
    for n in range(1, 13):
        made = make(recipe, (0, 1), WORDS, n, Random(n))
        for key in ("template", "order"):
            counts = Counter(getattr(prompt, key) for prompt in made)
            assert max(counts.values()) - min(counts.values()) <= 1 or n == 1
    cells = Counter((prompt.template, prompt.order) for prompt in made)
    assert set(cells.values()) == {3}


def test_clean_prompts_repeat_only_when_there_are_no_others_left(recipe):
    made = make(recipe, (0, 1), WORDS, 12, Random(0))
    assert len({prompt.clean_tokens for prompt in made}) == 12


def test_words_that_were_drawn_the_least_come_first():
    pick = Pick({"word": "abcdef"}, Random(0))
    for _ in range(5):
        drawn = []
        for _ in range(3):
            drawn += pick.some("word", 2, avoid="")
            pick.settle(taken=True)
        assert sorted(drawn) == list("abcdef")
    pick.one("word")
    pick.settle(taken=False)
    assert "a" not in pick.some("word", 5, avoid="a")


def test_a_list_that_is_too_short_for_one_prompt_is_refused():
    assert usable("this", Words("names", "abc", 3)).least == 3
    with pytest.raises(UsageError, match="this needs at least 4 names that are single tokens"):
        usable("this", Words("names", "abc", 4))
