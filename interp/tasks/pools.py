"""The corrupted prompts over which mean ablation takes its means: many different ones of the prompt's
own template and length, and none of them the prompt's own pair."""

from collections.abc import Hashable
from random import Random

from interp.tasks.base import Part, Pool, Task
from interp.tasks.recipe import Pick
from interp.tasks.splits import POOL, BuiltIn

# Draws for each prompt that is wanted: where there are just enough, the last ones take long to come.
_TRIES = 40
# How often a word was drawn before does not matter here.
_AT_RANDOM = 1e9

Rows = dict[Hashable, dict[tuple[int, ...], None]]


def pool(task: Task) -> Pool:
    """By `pool_key` the different corrupted prompts, as tokens, of which a mean is made."""
    rows: Rows = {} if task.source is None else _drawn(task, task.source)
    for prompt in (task.whole or task.prompts) if task.source is None else ():
        if prompt.kept:
            rows.setdefault(prompt.pool_key, {})[prompt.corrupted_tokens] = None
    return {key: tuple(each) for key, each in rows.items()}


def _drawn(task: Task, source: BuiltIn) -> Rows:
    all_prompts = task.whole or task.prompts
    evaluated = {row for each in all_prompts for row in (each.clean_tokens, each.corrupted_tokens)}
    words = {
        part: source.pool_words(part, all_prompts)[0]
        for part in dict.fromkeys(prompt.part for prompt in task.kept)
    }
    wanted: dict[tuple[Part, str], Rows] = {}
    for prompt in task.kept:
        wanted.setdefault((prompt.part, prompt.template), {})[prompt.pool_key] = {}
    for (part, template), rows in wanted.items():
        random = Random(f"{task.name} {source.seed} pool {part} {template}")
        pick = Pick(words[part], random, haste=_AT_RANDOM)
        number = source.recipe.templates.index(template)
        for turn in range(_TRIES * POOL):
            for prompt in source.draw(part, number, turn, pick):
                prompt = prompt.corrupted_by(task.corruption) if task.corruption else prompt
                there = rows.get(prompt.pool_key)
                fit = prompt.kept and prompt.corrupted_tokens not in evaluated
                if there is not None and fit and len(there) < POOL:
                    there[prompt.corrupted_tokens] = None
            pick.settle(taken=False)
            if all(len(there) == POOL for there in rows.values()):
                break
    return {key: found for rows in wanted.values() for key, found in rows.items()}
