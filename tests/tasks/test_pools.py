"""Means are taken over many different corrupted prompts, none of them one that is evaluated."""

import numpy as np
import pytest

import interp
from interp import tasks
from interp.tasks import splits


def rows(task):
    return {row for each in task.prompts for row in (each.clean_tokens, each.corrupted_tokens)}


@pytest.fixture(scope="module", params=tasks.names())
def both(request, tokenizer):
    """A task and its confirmation, with so few prompts that few pools are made."""
    task = tasks.build(request.param, tokenizer, n=4, seed=2, confirm=4)
    return task, task.confirmation


def test_every_prompt_of_a_built_in_task_has_a_pool_of_32_that_it_is_not_in(both):
    for task in both:
        assert {prompt.pool_key for prompt in task.kept} == set(task.pool)
        for pool in task.pool.values():
            assert len(set(pool)) == len(pool) == splits.POOL == 32
            assert not set(pool) & rows(task)
        for prompt in task.kept:
            assert {len(row) for row in task.pool[prompt.pool_key]} == {len(prompt.clean_tokens)}


def test_a_pool_has_only_words_of_its_own_part(both, tokenizer):
    task, confirmation = both
    assert not any("means are taken" in words for words in task.shared)
    known = {part: words_of(task, part) for part in ("discovery", "held_out", "confirmation")}
    for prompt in (*task.prompts, *confirmation.prompts):
        assert prompt.fillers <= known[prompt.part]
    for (_, part, _), pool in (*task.pool.items(), *confirmation.pool.items()):
        foreign = frozenset().union(*known.values()) - known[part]
        for token in {token for row in pool for token in row}:
            text = str(token) if task.name == "induction" else tokenizer.decode([token]).strip()
            assert text not in foreign


def words_of(task, part):
    lists = task.source.dealt.parts[part].words.values()
    flat = [word for words in lists for word in words]
    return frozenset(
        str(each) for word in flat for each in (word if isinstance(word, tuple) else (word,))
    )


def test_a_pool_is_the_same_for_the_same_seed_and_of_the_same_corruption(tokenizer):
    first, second = (tasks.build("ioi-flip", tokenizer, n=4, seed=4) for _ in range(2))
    assert first.pool == second.pool
    assert first.pool != tasks.build("ioi", tokenizer, n=4, seed=4).pool
    for prompt in first.kept:
        places = [prompt.positions[name] for name in ("IO", "S1", "S2")]
        for row in first.pool[prompt.pool_key]:
            io, subject, again = (row[place] for place in places)
            assert io != subject
            assert again in (io, subject)


def test_a_pool_is_made_only_when_it_is_asked_for(tokenizer):
    task = tasks.build("ioi", tokenizer)
    assert task.shared == ()
    assert not {"pool", "confirmation"} & set(vars(task))


def test_a_tokenizer_with_few_words_lends_those_of_all_parts_and_says_so():
    task = tasks.build("greater_than", interp.load("books-gpt2").tokenizer, n=4)
    assert "the words of the corrupted prompts over which means are taken" in task.shared
    assert set(map(len, task.pool.values())) == {32}


def test_a_files_pool_is_its_different_corrupted_prompts_of_that_template_and_length(
    file, tokenizer
):
    words = ["key", "book", "ring", "box", "cup", "map", "ball", "hat"]
    head = "clean,corrupted,answer,wrong,template\n"
    lines = [
        f"The {word} of Mary,The {word} of John, Mary, John,{t}" for word in words for t in "ab"
    ]
    lines += ["So Mary saw,So John saw, Mary, John,a"] * 3
    task = tasks.build(file(head + "\n".join(lines) + "\n"), tokenizer)
    sizes = {}
    for prompt in task.kept:
        pool = task.pool[prompt.pool_key]
        assert prompt.corrupted_tokens in pool
        sizes[prompt.template, len(prompt.clean_tokens)] = len(pool)
    assert sorted(sizes.values()) == [1, 8, 8]
    # Those that are taken from it have the whole file's.
    some = task.only(np.arange(task.n) < 3)
    assert all(some.pool[prompt.pool_key] == task.pool[prompt.pool_key] for prompt in some.kept)
