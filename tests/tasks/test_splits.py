"""Discovery, held-out half and confirmation share nothing; a file is parted by whole clusters or not at
all."""

import json
from collections import Counter
from functools import cache

import pytest

import interp
from interp import tasks
from interp.errors import NotApplicable, UsageError
from interp.tasks import splits

# The seed of each build, and the tokenizer: one with all words, one that was trained on books.
BUILDS = [(0, "wordy"), (7, "wordy"), (1, "books")]


@pytest.fixture(scope="session")
def built(tokenizer):
    """A task and its confirmation; each is made once."""
    books = interp.load("books-gpt2").tokenizer

    @cache
    def make(name, seed, which):
        try:
            task = tasks.build(name, {"wordy": tokenizer, "books": books}[which], seed=seed)
        except UsageError:
            pytest.skip(f"books-gpt2 lacks the words of {name}")
        return task, task.confirmation

    return make


def parts(task, confirmation):
    halves = {"discovery": [], "held_out": []}
    for prompt in task.prompts:
        halves[prompt.half].append(prompt)
    return {**halves, "confirmation": list(confirmation.prompts)}


def rows(prompts):
    return {row for each in prompts for row in (each.clean_tokens, each.corrupted_tokens)}


def pairwise(sets):
    *_, one, two, three = sets
    return (one & two) | (one & three) | (two & three)


@pytest.mark.parametrize(("seed", "which"), BUILDS)
@pytest.mark.parametrize("name", tasks.names())
def test_no_template_filler_or_prompt_is_in_two_parts(built, name, seed, which):
    three = parts(*built(name, seed, which)).values()
    assert all(three)
    if name != "induction":
        assert not pairwise([{prompt.template for prompt in part} for part in three])
    assert not pairwise([set().union(*(prompt.fillers for prompt in part)) for part in three])
    assert not pairwise([{prompt.item for prompt in part} - {""} for part in three])
    assert not pairwise([rows(part) for part in three])


@pytest.mark.parametrize(("seed", "which"), BUILDS)
@pytest.mark.parametrize("name", [name for name in tasks.names() if name != "induction"])
def test_fillers_are_all_words_that_differ_between_prompts_of_a_template(built, name, seed, which):
    # Digits of the second year are the task's answers, which no part can have for itself.
    free = set("0123456789") if name == "greater_than" else set()
    for prompts in parts(*built(name, seed, which)).values():
        by_template = {}
        for prompt in prompts:
            words = Counter(prompt.clean.split()) + Counter(prompt.corrupted.split())
            by_template.setdefault(prompt.template, []).append((prompt, set(words)))
        for found in by_template.values():
            common = set.intersection(*(words for _, words in found))
            for prompt, words in found:
                for word in words - common:
                    word = word.strip('.,:;!?()"/ ')
                    whole = word in prompt.fillers or not word
                    years = free and any(word.startswith(filler) for filler in prompt.fillers)
                    assert whole or years, word


@pytest.mark.parametrize(("seed", "which"), BUILDS)
@pytest.mark.parametrize("name", tasks.names())
def test_the_confirmation_has_72_prompts_six_of_each_of_twelve_templates(built, name, seed, which):
    task, confirmation = built(name, seed, which)
    assert (confirmation.name, confirmation.n, confirmation.dropped) == (task.name, 72, 0)
    clusters = Counter(prompt.cluster for prompt in confirmation.kept)
    assert set(clusters.values()) == ({1} if name == "induction" else {6})
    assert len(set(confirmation.clusters)) == len(clusters) == (72 if name == "induction" else 12)
    assert len(rows(confirmation.kept)) >= 100
    assert confirmation.where(half="held_out").all()


@pytest.mark.parametrize(("seed", "which"), BUILDS)
@pytest.mark.parametrize("name", tasks.names())
def test_orders_are_balanced_within_halves_and_within_each_confirming_template(
    built, name, seed, which
):
    task, confirmation = built(name, seed, which)
    for half in ("discovery", "held_out"):
        orders = Counter(prompt.order for prompt in task.prompts if prompt.half == half)
        assert sum(orders.values()) == 8
        assert max(orders.values()) - min(orders.values()) <= 1
    if name == "induction":
        return
    cells = Counter((prompt.template, prompt.order) for prompt in confirmation.kept)
    assert len(set(cells.values())) == 1
    assert len({order for _, order in cells}) == len({prompt.order for prompt in task.prompts})


def test_a_couple_of_names_answers_in_both_assignments_and_is_in_no_other_couple(built):
    for prompts in parts(*built("ioi", 0, "wordy")).values():
        answers = Counter((prompt.template, prompt.item, prompt.answer) for prompt in prompts)
        for template, item, answer in answers:
            (other,) = {f" {name}" for name in item.split("/")} - {answer}
            assert answers[template, item, answer] == answers[template, item, other]
        couples = {prompt.item for prompt in prompts}
        names = Counter(name for couple in couples for name in couple.split("/"))
        assert set(names.values()) == {1}


def test_items_number_the_words_that_carry_the_answer(built):
    confirmation = built("capital_country", 0, "wordy")[1]
    number = dict(
        zip((prompt.item for prompt in confirmation.kept), confirmation.items, strict=True)
    )
    assert [number[prompt.item] for prompt in confirmation.kept] == list(confirmation.items)
    assert len(set(number.values())) == len(number) > 12
    used = Counter(confirmation.items)
    assert max(used.values()) - min(used.values()) <= 1
    assert built("induction", 0, "wordy")[0].items is None


def test_the_seed_alone_says_which_template_confirms(tokenizer):
    def confirming(n, seed, corruption=""):
        task = tasks.build(f"ioi{corruption}", tokenizer, n=n, seed=seed)
        return {prompt.template for prompt in task.confirmation.prompts}

    assert confirming(16, 0) == confirming(60, 0) == confirming(16, 0, "-flip")
    assert confirming(16, 0) != confirming(16, 1)


def test_another_corruption_is_that_of_the_confirmation_too(tokenizer):
    plain = tasks.build("ioi", tokenizer).confirmation
    flipped = tasks.build("ioi-flip", tokenizer).confirmation
    assert flipped.name == "ioi-flip"
    for one, other in zip(plain.prompts, flipped.prompts, strict=True):
        assert other.clean_tokens == one.clean_tokens
        assert other.corrupted_tokens == one.others["flip"][1] != one.corrupted_tokens


def test_how_many_confirm_can_be_chosen(tokenizer):
    assert tasks.build("ioi", tokenizer, confirm=24).confirmation.n == 24
    for wrong in (0, 10**9):
        with pytest.raises(UsageError, match=r"at least 1|at most \d+"):
            assert tasks.build("ioi", tokenizer, confirm=wrong).confirmation


def test_a_tokenizer_with_few_words_says_what_the_parts_share():
    tokenizer = interp.load("tiny-gpt2").tokenizer
    task = tasks.build("greater_than", tokenizer)
    for shared in (task.shared, task.confirmation.shared):
        assert "the digits of the answers" in shared
        assert any(words.startswith("the events (this tokenizer has ") for words in shared)
    assert tasks.build("ioi", tokenizer).shared == ()


def test_the_confirmation_has_no_confirmation(tokenizer):
    with pytest.raises(NotApplicable, match="confirming ones themselves"):
        assert tasks.build("ioi", tokenizer).confirmation.confirmation


# Files

WORDS = ("key", "book", "ring", "box", "cup", "map", "ball", "hat", "pen", "coat")


@pytest.fixture
def task_of(file, tokenizer):
    """The task of these rows; a row names its clean prompt, and what is not usual in it."""

    def build(*given):
        usual = {"corrupted": "So John saw", "answer": " Mary", "wrong": " John"}
        lines = [json.dumps(usual | {"clean": clean} | more) + "\n" for clean, more in given]
        return tasks.build(file("".join(lines), "mine.jsonl"), tokenizer)

    return build


def the(word, **more):
    return f"The {word} saw", {"corrupted": f"The {word}s saw"} | more


def halves(task):
    return [
        {prompt.cluster for prompt in task.kept if prompt.half == half}
        for half in ("discovery", "held_out")
    ]


def test_rows_without_template_are_clusters_of_their_own(task_of):
    task = task_of(*[the(word, corrupted="The car saw") for word in WORDS])
    assert list(task.clusters) == list(range(10))
    assert list(map(len, halves(task))) == [5, 5]


def test_rows_that_share_a_prompt_are_one_cluster(task_of):
    pair = {"corrupted": "The book saw"}
    task = task_of(
        *[the(word, corrupted="The car saw") for word in WORDS[:4]],
        *[the(word, corrupted="The car saw") for word in WORDS[:4]],
        the("map", corrupted="The key saw"),
        the("hat", **pair, template="a"),
        the("pen", corrupted="The car saw", template="a"),
    )
    # The second time; "map" by its corrupted prompt; "hat" by its own, which takes "pen" along.
    assert list(task.clusters) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 1]
    assert not set.intersection(*halves(task))


def test_a_shared_corrupted_prompt_alone_makes_no_cluster(task_of):
    task = task_of(*[the(word, corrupted="The car saw") for word in WORDS])
    assert len(set(task.clusters)) == 10


def test_an_unfit_row_joins_no_clusters(task_of):
    bridge = the("key", corrupted="The book saw", answer=" Mary John")
    task = task_of(
        the("key", corrupted="The car saw"), the("book", corrupted="The car saw"), bridge
    )
    assert task.dropped == 1
    assert len(set(task.clusters)) == 2


def test_a_file_whose_orders_are_its_templates_has_both_halves(task_of):
    rows = [
        the(word, corrupted="The car saw", template=word, order=word)
        for word in WORDS
        for _ in range(2)
    ]
    task = task_of(*rows)
    assert list(map(len, halves(task))) == [5, 5]
    assert set(task.confirmation.clusters) == set(range(5))
    assert {prompt.half for prompt in task.confirmation.kept} == {"held_out"}


def test_every_order_with_two_clusters_is_in_both_halves(task_of):
    orders = "aaabbbcccd"
    rows = [
        the(word, corrupted="The car saw", template=word, order=order)
        for word, order in zip(WORDS, orders, strict=True)
    ]
    cells = {(prompt.order, prompt.half) for prompt in task_of(*rows).kept}
    for order in "abc":
        assert {(order, "discovery"), (order, "held_out")} <= cells


def test_a_file_is_confirmed_on_its_held_out_clusters(task_of):
    task = task_of(*[the(word, corrupted="The car saw", template=word) for word in WORDS])
    held_out = task.where(half="held_out")
    assert task.confirmation.kept == tuple(
        prompt for prompt, late in zip(task.kept, held_out, strict=True) if late
    )
    assert splits.LEAST_ESTIMATED <= held_out.sum() < splits.LEAST_CONFIRMING


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ([the("key")], "has one prompt"),
        ([the("key")] * 16, "are one prompt, which is there 16 times"),
        ([the(word, template="t") for word in WORDS], "are of one template, 't'"),
        (
            [("So Mary saw", {}), ("So John saw", {"corrupted": "So Mary saw"})],
            "one's clean prompt is another's corrupted one",
        ),
        ([the("key"), the("book")], "2 templates or separate prompts"),
        ([the("key"), the("book"), the("box", corrupted="The car saw")], "3 templates or separate"),
        ([the("key", wrong=" Mary")], "none of the 1 prompts"),
    ],
)
def test_too_few_clusters_are_not_run_with_the_cause_and_the_way_out(task_of, given, cause):
    with pytest.raises(NotApplicable, match=cause) as refused:
        assert task_of(*given).confirmation
    message = str(refused.value)
    assert "column `template` with at least 4 values, better 16 or more" in message
    assert "--n" not in message
    assert len(message) < 600


def test_four_clusters_are_enough_to_estimate(task_of):
    assert task_of(*[the(word, corrupted="The car saw") for word in WORDS[:4]]).confirmation.n == 2


def test_a_run_of_a_built_in_task_is_parted_again_as_a_file(tmp_path, tokenizer):
    path = tmp_path / "prompts.csv"
    task = tasks.build("ioi", tokenizer, n=24)
    task.frame().to_csv(path, index=False)
    again = tasks.build(str(path), tokenizer)
    assert [prompt.item for prompt in again.kept] == [prompt.item for prompt in task.kept]
    assert len(set(again.confirmation.clusters)) == 6
    with pytest.raises(UsageError, match="own held-out half"):
        tasks.build(str(path), tokenizer, confirm=72)
