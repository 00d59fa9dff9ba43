"""A user's own prompts: right ones become a task, wrong ones a sentence that says what is wrong."""

import json

import pytest

import interp
from interp import tasks
from interp.errors import UsageError

HEADER = "clean,corrupted,answer,wrong\n"
GOOD = HEADER + '"Then Mary met John, so John saw","Then Kate met Paul, so Adam saw", Mary, John\n'


def _line(**changes):
    row = {"clean": "So Mary saw", "corrupted": "So John saw", "answer": " John", "wrong": " Mary"}
    return json.dumps(row | changes) + "\n"


def test_a_csv_becomes_a_task(file, tokenizer):
    task = tasks.build(file(GOOD), tokenizer)
    (prompt,) = task.kept
    assert (task.name, prompt.answer) == ("mine.csv", " Mary")
    assert prompt.clean_tokens == (task.bos, *tokenizer(prompt.clean)["input_ids"])


def test_csv_and_jsonl_of_the_same_rows_make_the_same_prompts(file, tokenizer):
    row = {"clean": "So Mary saw", "corrupted": "So John saw", "answer": " John", "wrong": " Mary"}
    table = HEADER + ",".join(row.values()) + "\n"
    (by_csv,) = tasks.build(file(table), tokenizer).prompts
    (by_json,) = tasks.build(file(_line(), "mine.jsonl"), tokenizer).prompts
    assert by_csv.clean_tokens == by_json.clean_tokens
    assert by_csv.answer_token == by_json.answer_token


def test_a_runs_own_prompts_csv_can_be_given_back(tmp_path, tokenizer):
    task = tasks.build("ioi", tokenizer, n=12)
    path = tmp_path / "prompts.csv"
    task.frame().to_csv(path, index=False)
    again = tasks.build(str(path), tokenizer)
    for before, after in zip(task.prompts, again.prompts, strict=True):
        assert after.clean_tokens == before.clean_tokens
        assert after.corrupted_tokens == before.corrupted_tokens
        assert (after.answer_token, after.template) == (before.answer_token, before.template)
    assert len(set(again.clusters)) == len(set(task.clusters))


def test_positions_are_named_by_text_or_by_index(file, tokenizer):
    lines = _line(pos_who="Mary", pos_first=1) + _line(pos_who="Mary", pos_first="1")
    for prompt in tasks.build(file(lines, "mine.jsonl"), tokenizer).kept:
        assert tokenizer.decode([prompt.clean_tokens[prompt.positions["who"]]]) == " Mary"
        assert prompt.positions["first"] == 1


def test_n_draws_that_many_rows_in_the_files_order(file, tokenizer):
    words = ["key", "book", "ring", "box", "cup", "map"]
    lines = "".join(_line(clean=f"The {word} of Mary") for word in words)
    path = file(lines.replace("So John saw", "The map of John"), "mine.jsonl")
    some = tasks.build(path, tokenizer, n=3, seed=1)
    places = [
        [prompt.clean for prompt in tasks.build(path, tokenizer).prompts].index(p.clean)
        for p in some.prompts
    ]
    assert len(places) == 3
    assert places == sorted(places)
    with pytest.raises(UsageError, match="at most 6"):
        tasks.build(path, tokenizer, n=7)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"corrupted": "So then John saw"}, "clean and corrupted differ in length"),
        ({"corrupted": "So Mary saw"}, "clean and corrupted are the same tokens"),
        ({"answer": " Abracadabra"}, "answer is not one token"),
        (
            {"wrong": "Mary"},
            "wrong answer is not one token, but with the space before it, it is: an answer follows the "
            "prompt as written",
        ),
        (
            {"clean": "So Mary saw "},
            "the prompt ends in a space and the answer begins with one; leave the prompt's out",
        ),
        (
            {
                "clean": "So Mary saw ",
                "corrupted": "So John saw ",
                "answer": "Mary",
                "wrong": "John",
            },
            "answer changes the tokens of the prompt before it; the space at the prompt's end belongs to "
            "the answer",
        ),
        ({"wrong": ""}, "wrong answer is not one token"),
        ({"answer": " Mary"}, "answer and wrong answer are the same token"),
        ({"clean": "", "corrupted": ""}, "the clean prompt is empty"),
    ],
)
def test_unfit_prompts_are_dropped_and_counted_with_their_reason(file, tokenizer, changes, reason):
    task = tasks.build(file(_line() + _line(**changes), "mine.jsonl"), tokenizer)
    assert (task.n, task.dropped, task.reasons) == (1, 1, {reason: 1})
    assert task.frame()["reason"][1] == reason
    assert task.clusters.shape == (1,)


@pytest.mark.parametrize(
    "hostile",
    [
        "</script><img src=x onerror=alert(1)>",
        "\u202egnisrever\u2066 \u200f",
        "=HYPERLINK('x')",
        "\u2028\x85\x0b line ends that are none",
    ],
)
def test_hostile_text_is_text(file, tokenizer, hostile):
    lines = _line(clean=f"{hostile} Mary", corrupted=f"{hostile} John")
    task = tasks.build(file(lines, "mine.jsonl"), tokenizer)
    assert task.n == 1
    assert task.kept[0].clean == f"{hostile} Mary"
    assert task.frame()["clean"][0] == f"{hostile} Mary"


def test_empty_lines_are_passed_over(file, tokenizer):
    assert tasks.build(file("\n" + _line() + "\n\n  \n" + _line(), "a.jsonl"), tokenizer).n == 2
    assert tasks.build(file(GOOD + "\n\n"), tokenizer).n == 1


def test_windows_line_ends_and_byte_order_marks_are_read(file, tokenizer):
    marked = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    assert tasks.build(file(marked), tokenizer).n == 1


def test_a_prompt_of_100_kb_is_read_whole_and_refused_by_the_model_that_cannot(file):
    model = interp.load("tiny-gpt2")
    long = "a Mary " * 15_000
    rows = _line(clean=long + "Mary", corrupted=long + "John")
    for content, name in (
        (rows, "a.jsonl"),
        (HEADER + f"{long} Mary,{long} John, John, Mary\n", "a.csv"),
    ):
        task = tasks.build(file(content, name), model.tokenizer)
        assert task.n == 1
        assert len(task.kept[0].clean_tokens) > 30_000
        with pytest.raises(UsageError, match="reads at most 160"):
            tasks.gate(model, task)


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("", "a.csv", "no prompts"),
        (HEADER, "a.csv", "no prompts"),
        ("\n\n", "a.jsonl", "no prompts"),
        ("prompt,answer\nx,y\n", "a.csv", "clean, corrupted, wrong not there"),
        (
            HEADER.replace("wrong", "wrong,wrnog") + "a,b,c,d,e\n",
            "a.csv",
            "no column is called 'wrnog'",
        ),
        (HEADER.replace("wrong", "wrong,wrong") + "a,b,c,d,e\n", "a.csv", "two columns called"),
        (HEADER + "a,b,c\n", "a.csv", "line 2: expected 4 cells"),
        (HEADER + "a, b, then, c, d\n", "a.csv", "double quotes"),
        (HEADER + '"a,b,c,d\n', "a.csv", "no CSV that can be read"),
        (HEADER.encode() + "é,b,c,d\n".encode("latin-1"), "a.csv", "not UTF-8: byte 29"),
        ("x".encode("utf-16"), "a.jsonl", "not UTF-8"),
        ("{nonsense\n", "a.jsonl", "line 1: expected a JSON object"),
        ("[" * 100_000, "a.jsonl", "line 1: expected a JSON object"),
        ('["a"]\n', "a.jsonl", "got \\['a'\\]"),
        (_line(answer=3), "a.jsonl", "answer must be a text, got 3"),
        (_line(clean=None), "a.jsonl", "clean must be a text, got None"),
        (_line(clean="\ud800"), "a.jsonl", "lone surrogate"),
        (_line(pos_who="Paul"), "a.jsonl", "'Paul' occurs 0 times"),
        (_line(pos_who=99), "a.jsonl", "the prompt has"),
        (_line(pos_=1), "a.jsonl", "no column is called 'pos_'"),
        (_line(pos_who=True), "a.jsonl", "must be a text, got True"),
    ],
)
def test_files_of_another_form_are_refused_in_one_sentence(file, tokenizer, content, name, words):
    with pytest.raises(UsageError, match=words) as refused:
        tasks.build(file(content, name), tokenizer)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path, tokenizer):
    (tmp_path / "folder.csv").mkdir()
    for name in ("missing.csv", "folder.csv"):
        with pytest.raises(UsageError, match="cannot read"):
            tasks.build(str(tmp_path / name), tokenizer)
