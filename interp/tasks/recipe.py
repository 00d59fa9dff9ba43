"""How the prompts of a built-in task are made for one tokenizer: its templates, its words and what a
draw of them becomes, and the making of so many that all come about equally often."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from interp.errors import UsageError
from interp.tasks.base import Prompt

# After so many draws a prompt will do of which one text was there before, with another one beside it.
_PATIENCE = 30

Vocabulary = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Words:
    """A list of words for a slot, called `what`; a prompt needs `least` different ones of it."""

    what: str
    all: Sequence[Any]
    least: int = 1


class Pick:
    """Words drawn at random, those first that were drawn the least; the more `haste`, the less that
    matters."""

    def __init__(self, words: Vocabulary, random: Random, haste: float = 0.0) -> None:
        self.words, self.random, self.haste = words, random, haste
        self._used: Counter[Hashable] = Counter()
        self._pending: list[Hashable] = []

    def some(self, which: str, number: int, avoid: Collection[Any] = ()) -> list[Any]:
        """So many different words of this list, none of them among `avoid`."""
        return self.among(which, [word for word in self.words[which] if word not in avoid], number)

    def one(self, which: str, avoid: Collection[Any] = ()) -> Any:
        """One word of this list, none of `avoid`."""
        return self.some(which, 1, avoid)[0]

    def slots(self, template: str, *which: str) -> dict[str, Any]:
        """One word for each of these slots that the template has."""
        return {name: self.one(name) for name in which if f"{{{name}}}" in template}

    def among(self, which: str, free: Sequence[Any], number: int = 1) -> list[Any]:
        """So many of these, which are counted under the name `which`."""
        random = self.random.random

        def rank(word: Any) -> tuple[float, float]:
            return self._used[which, word] + self.haste * random(), random()

        found = sorted(free, key=rank)[:number]
        self._pending += [(which, word) for word in found]
        return found

    def settle(self, taken: bool) -> None:
        """Counts what was drawn since the last call if it was taken, and forgets it otherwise."""
        if taken:
            self._used.update(self._pending)
        self._pending.clear()


@dataclass(frozen=True)
class Recipe:
    """`draw(template, variant, pick)` makes `at_once` prompts of template and variant by number; where
    it makes several, a last variant beyond `variants` has some of each. Of these words and one
    template there are at least `different(words)` draws of each variant, and `corrupted(words)`
    corrupted prompts of each length. `shared` names what no choice of words can keep out of any part.

    Raises  UsageError for fewer words than a prompt needs.
    """

    task: str
    templates: tuple[str, ...]
    variants: int
    words: Mapping[str, Words]
    draw: Callable[[int, int, Pick], Sequence[Prompt]]
    different: Callable[[Vocabulary], int]
    corrupted: Callable[[Vocabulary], int]
    shared: tuple[str, ...] = ()
    at_once: int = 1

    def __post_init__(self) -> None:
        for each in self.words.values():
            if len(each.all) < each.least:
                raise UsageError(
                    f"{self.task} needs at least {each.least} {each.what} that are single tokens; this "
                    f"tokenizer has {len(each.all)}"
                )


def capacity(recipe: Recipe, templates: int, words: Vocabulary) -> int:
    """How many different prompts so many templates can make of these words at least."""
    return templates * recipe.variants * recipe.different(words) * recipe.at_once


def make(
    recipe: Recipe, templates: Sequence[int], words: Vocabulary, n: int, random: Random
) -> list[Prompt]:
    """n different prompts, as many of each template as of any other, and the variants in turn over
    the templates and within each."""
    pick = Pick(words, random)
    known = set[tuple[int, ...]]()
    pairs = set[tuple[tuple[int, ...], tuple[int, ...]]]()
    made: list[Prompt] = []
    draws = -(-n // recipe.at_once)
    for turn in range(draws):
        lap, rank = divmod(turn, len(templates))
        here = -(-(draws - rank) // len(templates))
        variant = (rank + lap) % recipe.variants
        if recipe.at_once > 1 and here > 1 and here % 2 and lap == here - 1:
            variant = recipe.variants
        for attempt in count():
            pick.haste = float(attempt)
            drawn = recipe.draw(templates[rank], variant, pick)
            both = [(each.clean_tokens, each.corrupted_tokens) for each in drawn]
            rows = [row for each in both for row in each]
            seen = any(each in pairs for each in both) or (
                attempt < _PATIENCE and (len(set(rows)) < len(rows) or not known.isdisjoint(rows))
            )
            pick.settle(taken=not seen)
            if not seen:
                break
        pairs.update(both)
        known.update(rows)
        made += drawn
    return made[:n]


def numbered(templates: Sequence[str]) -> tuple[str, ...]:
    """Names for templates that have none."""
    return tuple(f"s{number:02}" for number in range(1, len(templates) + 1))
