"""Every task: aligned pairs, single-token answers, positions that mean what they are called."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from interp import tasks
from interp.errors import UsageError
from interp.tasks.batches import aligned
from interp.tasks.reader import Reader

BUILT_IN = tuple(tasks.names())


@pytest.fixture(params=BUILT_IN)
def task(request, tokenizer):
    return tasks.build(request.param, tokenizer, n=60, seed=3)


def _at(tokenizer, prompt, name):
    return tokenizer.decode([prompt.clean_tokens[prompt.positions[name]]])


def test_every_prompt_is_fit_and_there_are_as_many_as_asked_for(task):
    assert (len(task.prompts), task.n, task.dropped, task.reasons) == (60, 60, 0, {})


def test_clean_and_corrupted_align_and_differ(task):
    for prompt in task.kept:
        assert len(prompt.clean_tokens) == len(prompt.corrupted_tokens)
        assert prompt.clean_tokens != prompt.corrupted_tokens
        assert prompt.answer_token != prompt.wrong_token


def test_tokens_begin_with_the_document_start_and_not_with_the_chats(task, tokenizer):
    start = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert task.bos == start
    assert {prompt.clean_tokens[0] for prompt in task.kept} == {start}
    assert {prompt.corrupted_tokens[0] for prompt in task.kept} == {start}


# The prompts of induction are token ids, never text.
@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "induction"])
def test_the_answer_is_the_one_token_that_the_tokenizer_puts_after_the_prompt(name, tokenizer):
    task = tasks.build(name, tokenizer, n=60, seed=3)
    for prompt in task.kept:
        for words, token in (
            (prompt.answer, prompt.answer_token),
            (prompt.wrong, prompt.wrong_token),
        ):
            whole = tokenizer(prompt.clean + words, add_special_tokens=False)["input_ids"]
            assert [task.bos, *whole] == [*prompt.clean_tokens, token]


def test_end_is_the_last_token_and_no_position_is_beyond_it_or_the_bos(task):
    for prompt in task.kept:
        assert prompt.positions["END"] == len(prompt.clean_tokens) - 1
        assert all(0 < place < len(prompt.clean_tokens) for place in prompt.positions.values())


def test_the_same_seed_makes_the_same_prompts_and_another_seed_others(task, tokenizer):
    again = tasks.build(task.name, tokenizer, n=60, seed=3)
    other = tasks.build(task.name, tokenizer, n=60, seed=4)
    assert again.prompts == task.prompts
    assert other.prompts != task.prompts


def test_no_prompt_comes_twice(task):
    pairs = [(prompt.clean_tokens, prompt.corrupted_tokens, prompt.order) for prompt in task.kept]
    assert len(set(pairs)) == len(pairs)


def test_halves_share_no_cluster_and_are_about_equal(task):
    halves = {half: task.where(half=half) for half in ("discovery", "held_out")}
    assert not set(task.clusters[halves["discovery"]]) & set(task.clusters[halves["held_out"]])
    assert abs(int(halves["discovery"].sum()) - int(halves["held_out"].sum())) <= 4


def test_templates_are_dealt_evenly(task):
    templates = [prompt.template for prompt in task.kept]
    counts = [templates.count(name) for name in set(templates)]
    assert max(counts) - min(counts) <= 2


def test_aligned_batches_hold_every_prompt_once_with_aligned_positions(task):
    groups = aligned(task)
    assert sorted(index for group in groups for index in group.indices) == list(range(task.n))
    for group in groups:
        assert (
            group.clean.shape == group.corrupted.shape == (len(group.indices), group.clean.shape[1])
        )
        assert group.clean.dtype == torch.long
        for row, index in enumerate(group.indices):
            prompt = task.kept[index]
            assert group.prompts[row] is prompt
            first = group.prompts[0]
            assert dict(prompt.positions) == dict(first.positions)
            assert (prompt.template, prompt.order) == (first.template, first.order)
            assert tuple(group.clean[row].tolist()) == prompt.clean_tokens
            assert tuple(group.corrupted[row].tolist()) == prompt.corrupted_tokens
            assert (group.answer[row], group.distractor[row]) == (
                prompt.answer_token,
                prompt.wrong_token,
            )


def test_the_frame_is_prompts_csv(task):
    frame = task.frame()
    named = dict.fromkeys(name for prompt in task.prompts for name in prompt.positions)
    assert list(frame) == [
        "clean",
        "corrupted",
        "answer",
        "wrong",
        "clean_tokens",
        "corrupted_tokens",
        "answer_token",
        "wrong_token",
        "template",
        "order",
        "kept",
        "reason",
        "cluster",
        "item",
        "half",
        *[f"pos_{name}" for name in named if name != "END"],
    ]
    assert tuple(map(int, frame["clean_tokens"][5].split())) == task.prompts[5].clean_tokens
    assert frame["answer_token"].dtype == "Int64"


def test_more_than_there_can_be_is_refused_with_the_maximum(tokenizer):
    for name in BUILT_IN:
        with pytest.raises(UsageError, match=r"at most \d+ prompts"):
            tasks.build(name, tokenizer, n=10**15)
        with pytest.raises(UsageError, match="at least 1"):
            tasks.build(name, tokenizer, n=0)


def test_unknown_tasks_are_refused_with_the_nearest_names(tokenizer):
    with pytest.raises(UsageError, match="gendered_pronoun"):
        tasks.build("gender_pronoun", tokenizer)


def test_listing_and_building_tasks_needs_no_torch():
    code = "import sys; from interp import tasks; assert len(tasks.names()) == 8; "
    code += "assert all(question.endswith('?') for question in tasks.names().values()); "
    code += "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("bos", ["auto", "yes", "no"])
def test_a_text_that_begins_with_the_bos_is_the_text_behind_it(tokenizer, bos):
    reader = Reader(tokenizer, bos)
    bare, marked = "When Mary left", "<|endoftext|>When Mary left"
    start = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert reader.run(marked).count(start) == 1
    assert reader.run(bare).count(start) == (bos != "no")
    if bos != "no":
        assert reader.run(marked) == reader.run(bare)
        assert reader.position(marked, len(marked)) == reader.position(bare, len(bare))


def test_a_task_without_bos_has_the_same_tokens_but_for_it(tokenizer):
    usual = tasks.build("ioi", tokenizer, n=8)
    without = tasks.build("ioi", tokenizer, n=8, bos="no")
    assert without.bos is None
    for one, other in zip(usual.prompts, without.prompts, strict=True):
        assert one.clean_tokens == (usual.bos, *other.clean_tokens)
        assert one.positions["END"] == other.positions["END"] + 1


def test_a_runs_own_prompts_that_begin_with_the_bos_have_it_once_again(tokenizer, file, tmp_path):
    lines = "clean,corrupted,answer,wrong,pos_name\n<|endoftext|>Mary is,John is, she, he,Mary\n"
    made = tasks.build(file(lines), tokenizer)
    (prompt,) = made.prompts
    assert prompt.clean_tokens.count(made.bos) == prompt.corrupted_tokens.count(made.bos) == 1
    until = prompt.clean_tokens[: prompt.positions["name"] + 1]
    assert tokenizer.decode(until) == "<|endoftext|>Mary"
    stored = tmp_path / "prompts.csv"
    made.frame().to_csv(stored, index=False)
    assert tasks.build(stored, tokenizer).prompts[0].clean_tokens == prompt.clean_tokens


def test_a_path_names_a_task_file_as_its_text_does(tokenizer, file):
    path = file("clean,corrupted,answer,wrong\nMary is,John is, she, he\n")
    assert tasks.build(Path(path), tokenizer) == tasks.build(path, tokenizer)


def test_induction_repeats_its_tokens_and_breaks_them_in_the_corrupted_prompt(tokenizer):
    for prompt in tasks.build("induction", tokenizer, n=20).kept:
        _, *tokens = prompt.clean_tokens
        half = (len(tokens) + 1) // 2
        assert tokens[half:] == tokens[: half - 1]
        assert prompt.answer_token == tokens[half - 1]
        assert prompt.clean_tokens[prompt.positions["earlier"]] == tokens[-1]
        assert prompt.clean_tokens[prompt.positions["earlier+1"]] == prompt.answer_token
        assert prompt.wrong_token in tokens[: half - 2]
        assert not set(prompt.corrupted_tokens[1 : half + 1]) & set(tokens)
        assert prompt.corrupted_tokens[half + 1 :] == prompt.clean_tokens[half + 1 :]


def test_years_are_asked_for_digit_by_digit_where_a_digit_is_a_token(tokenizer):
    task = tasks.build("greater_than", tokenizer, n=60)
    assert {prompt.order for prompt in task.kept} == {"tens", "ones"}
    for prompt in task.kept:
        digit = int(_at(tokenizer, prompt, prompt.order))
        assert int(prompt.wrong) < digit < int(prompt.answer)
        if prompt.order == "ones":
            assert prompt.clean.endswith(_at(tokenizer, prompt, "tens"))
        start = prompt.positions["tens"]
        assert tokenizer.decode(prompt.corrupted_tokens[start : start + 2]) == "01"


def test_years_are_asked_for_at_once_where_two_digits_are_a_token(paired_digits):
    for prompt in tasks.build("greater_than", paired_digits, n=60).kept:
        assert int(prompt.wrong) < int(_at(paired_digits, prompt, "start")) < int(prompt.answer)


def test_pronoun_verb_and_capital_go_with_the_word_that_is_named(tokenizer):
    from interp.tasks import capital_country, gendered_pronoun

    for prompt in tasks.build("gendered_pronoun", tokenizer, n=60).kept:
        name = _at(tokenizer, prompt, "name").strip()
        assert (prompt.answer == " she") == (name in gendered_pronoun.FEMALE.split())
        assert (prompt.answer == " he") == (name in gendered_pronoun.MALE.split())
    for prompt in tasks.build("subject_verb", tokenizer, n=60).kept:
        assert (prompt.answer == " are") == _at(tokenizer, prompt, "subject").endswith("s")
    for prompt in tasks.build("capital_country", tokenizer, n=60).kept:
        country = _at(tokenizer, prompt, "country").strip()
        assert f"{country}/{prompt.answer.strip()}" in capital_country.CAPITALS.split()


def test_docstring_and_colors_are_as_the_prompt_says(tokenizer):
    for prompt in tasks.build("docstring", tokenizer, n=40).kept:
        assert _at(tokenizer, prompt, "third") == prompt.answer
        assert _at(tokenizer, prompt, "fourth") == prompt.wrong
        assert _at(tokenizer, prompt, "second") == _at(tokenizer, prompt, "second_again")
    for prompt in tasks.build("colored_objects", tokenizer, n=40).kept:
        places, tokens = prompt.positions, prompt.clean_tokens
        assert _at(tokenizer, prompt, "object") == _at(tokenizer, prompt, "asked")
        assert (tokens[places["color"]], places["color"] + 1) == (
            prompt.answer_token,
            places["object"],
        )
        other = tokens.index(prompt.corrupted_tokens[places["asked"]])
        assert tokens[other - 1] == prompt.wrong_token


def test_a_vocabulary_that_lacks_the_words_is_refused_in_words():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    bytewise = {token: index for index, token in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    backend = Tokenizer(models.BPE(vocab=bytewise, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    with pytest.raises(UsageError, match="ioi needs at least 5 names that are single tokens"):
        tasks.build("ioi", PreTrainedTokenizerFast(tokenizer_object=backend))
