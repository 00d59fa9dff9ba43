"""The indirect object task, whose tables others lean on."""

from collections import Counter

import pytest

from interp import tasks
from interp.errors import UsageError
from interp.tasks import ioi


@pytest.fixture
def task(tokenizer):
    return tasks.build("ioi", tokenizer, n=120, seed=1)


def _word(tokenizer, tokens, prompt, name):
    return tokenizer.decode([tokens[prompt.positions[name]]])


def test_positions_name_the_words_that_they_are_called_after(task, tokenizer):
    for prompt in task.kept:
        tokens = prompt.clean_tokens
        assert _word(tokenizer, tokens, prompt, "IO") == prompt.answer
        assert _word(tokenizer, tokens, prompt, "S1") == prompt.wrong
        assert _word(tokenizer, tokens, prompt, "S2") == prompt.wrong
        assert prompt.positions["S1+1"] == prompt.positions["S1"] + 1
        assert prompt.positions["S1"] < prompt.positions["S2"] < prompt.positions["END"]


def test_the_order_says_which_name_comes_first(task):
    for prompt in task.kept:
        first = prompt.positions["IO"] < prompt.positions["S1"]
        assert prompt.order == ("ABBA" if first else "BABA")


def test_corrupted_prompts_have_three_other_names_in_the_same_places(task, tokenizer):
    for prompt in task.kept:
        places = [prompt.positions[name] for name in ("IO", "S1", "S2")]
        names = {tokenizer.decode([prompt.corrupted_tokens[place]]) for place in places}
        assert len(names) == 3
        assert not names & {prompt.answer, prompt.wrong}
        changed = [
            place
            for place, (here, there) in enumerate(
                zip(prompt.clean_tokens, prompt.corrupted_tokens, strict=True)
            )
            if here != there
        ]
        assert changed == sorted(places)


def test_other_corruptions_exchange_names_and_change_nothing_else(task):
    for prompt in task.kept:
        io, subject = prompt.answer_token, prompt.wrong_token
        places = [prompt.positions[name] for name in ("IO", "S1", "S2")]
        for name, names in (
            ("flip", (io, subject, io)),
            ("swap", (subject, io, subject)),
            ("flip_swap", (subject, io, io)),
        ):
            expected = list(prompt.clean_tokens)
            for place, token in zip(places, names, strict=True):
                expected[place] = token
            assert list(prompt.others[name][1]) == expected


def test_a_task_is_built_with_another_of_its_corruptions(task, tokenizer):
    flipped = tasks.build("ioi-flip", tokenizer, n=120, seed=1)
    assert flipped.name == "ioi-flip"
    for before, after in zip(task.prompts, flipped.prompts, strict=True):
        assert after.corrupted_tokens == before.others["flip"][1]
        assert after.clean_tokens == before.clean_tokens
        assert tokenizer.decode(after.corrupted_tokens).endswith(after.corrupted)
    with pytest.raises(UsageError, match="no other corruption called 'flop'; nearest names: flip"):
        tasks.build("ioi-flop", tokenizer)
    with pytest.raises(UsageError, match="induction has no other corruption"):
        tasks.build("induction-flip", tokenizer)


def test_both_name_assignments_of_every_sentence_are_there(task):
    answered = Counter((prompt.template, prompt.answer, prompt.wrong) for prompt in task.kept)
    for template, answer, wrong in answered:
        assert (template, wrong, answer) in answered


def test_every_sentence_comes_in_both_orders_equally_often(task):
    cells = Counter((prompt.template, prompt.order) for prompt in task.kept)
    by_template = Counter(prompt.template for prompt in task.kept)
    assert len(cells) == 2 * len(by_template)
    for template, many in by_template.items():
        assert {cells[template, order] for order in ioi.ORDERS} == {many // 2}


@pytest.mark.parametrize("n", [8, 16, 30, 60])
def test_both_halves_have_both_orders(tokenizer, n):
    task = tasks.build("ioi", tokenizer, n=n)
    cells = Counter((prompt.half, prompt.order) for prompt in task.kept)
    assert len(cells) == 4
    assert max(cells.values()) - min(cells.values()) <= 2


def test_a_clean_prompt_says_who_gave_something_to_whom(tokenizer):
    prompt = tasks.build("ioi", tokenizer, n=1).kept[0]
    subject, other = prompt.wrong.strip(), prompt.answer.strip()
    assert prompt.clean.count(subject) == 2
    assert prompt.clean.count(other) == 1
    assert prompt.clean.endswith(" to")
