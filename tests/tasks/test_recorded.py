"""A run's own prompts.csv is a task: the same tokens, positions and clusters, to the same numbers."""

import csv
import io
import json

import pytest

from interp import tasks
from interp.errors import UsageError
from interp.report import frames


@pytest.fixture
def again(tmp_path):
    """The task of a file that holds another task's prompts as a run writes them; `change` edits
    rows, by number and as texts."""

    def of(task, tokenizer, change=lambda number, row: row, **options):
        written = frames.to_csv(frames.tidy(task.frame(), "prompts"))
        read = csv.DictReader(io.StringIO(written, newline=""))
        rows = [change(number, row) for number, row in enumerate(read)]
        path = tmp_path / "prompts.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
        return tasks.build(str(path), tokenizer, **options)

    return of


@pytest.mark.parametrize("name", list(tasks.names()))
def test_a_built_in_tasks_prompts_run_again_with_the_same_tokens(again, tokenizer, name):
    task = tasks.build(name, tokenizer, n=24, seed=5)
    found = again(task, tokenizer)
    assert found.n == task.n == 24
    for one, other in zip(task.prompts, found.prompts, strict=True):
        assert other.clean_tokens == one.clean_tokens
        assert other.corrupted_tokens == one.corrupted_tokens
        assert (other.answer_token, other.wrong_token) == (one.answer_token, one.wrong_token)
        assert other.positions == one.positions
        assert (other.template, other.order, other.cluster) == (
            one.template,
            one.order,
            one.cluster,
        )
        assert (other.clean, other.answer) == (one.clean, one.answer)
    assert list(found.clusters) == list(task.clusters)


@pytest.mark.parametrize("begin", ["=1+1", "-", "@", "'=", "'", "+'", "\t", "\n", "\r", '"', "\0"])
def test_a_text_that_a_spreadsheet_would_compute_comes_back(again, file, tokenizer, begin):
    row = {"clean": f"{begin} Mary saw", "corrupted": f"{begin} John saw", "pos_who": " Mary"}
    line = json.dumps(row | {"answer": " John", "wrong": " Mary"})
    task = tasks.build(file(line, "mine.jsonl"), tokenizer)
    (one,), (other,) = task.prompts, again(task, tokenizer).prompts
    assert (other.clean, other.clean_tokens) == (one.clean, one.clean_tokens)
    plain = (
        ",".join(("clean", "corrupted", "answer", "wrong"))
        + '\n"'
        + '","'.join(
            (row["clean"].replace('"', '""'), row["corrupted"].replace('"', '""'), " John", " Mary")
        )
    )
    assert tasks.build(file(plain + '"\n'), tokenizer).prompts[0].clean == one.clean


def test_and_a_third_time_to_the_very_same_table(again, tokenizer):
    second = again(tasks.build("induction", tokenizer, n=12), tokenizer)
    assert again(second, tokenizer).frame().equals(second.frame())


def test_what_was_dropped_is_dropped_again_for_the_same_reason(again, tokenizer):
    task = tasks.build("ioi", tokenizer, n=8)
    other = {"kept": "False", "reason": "longer than the 8 tokens that the model reads"}
    found = again(task, tokenizer, lambda number, row: row | (other if number == 3 else {}))
    assert (found.n, found.reasons) == (7, {other["reason"]: 1})
    once_more = again(found, tokenizer)
    assert once_more.reasons == found.reasons
    assert [prompt.kept for prompt in once_more.prompts] == [
        prompt.kept for prompt in found.prompts
    ]


@pytest.mark.parametrize("word", ["FALSE", "false"])
def test_spreadsheets_write_truth_in_their_own_way(again, tokenizer, word):
    task = tasks.build("ioi", tokenizer, n=4)
    found = again(task, tokenizer, lambda number, row: row | {"kept": word if number else "TRUE"})
    assert found.reasons == {"the file says that it is not kept": 3}
    with pytest.raises(UsageError, match="kept must be True or False, got 'maybe'"):
        again(task, tokenizer, lambda number, row: row | {"kept": "maybe"})


def test_a_text_that_was_changed_is_read_anew(again, tokenizer):
    task = tasks.build("ioi", tokenizer, n=4)

    def change(number, row):
        plain = {name: row[name] for name in ("clean", "corrupted", "answer", "wrong")}
        tokens = {
            name: value for name, value in row.items() if name.endswith(("_tokens", "_token"))
        }
        return plain | tokens | {side: f"Now {row[side]}" for side in ("clean", "corrupted")}

    for prompt in again(task, tokenizer, change).prompts:
        assert prompt.clean_tokens == (task.bos, *tokenizer(prompt.clean)["input_ids"])


def test_tokens_of_another_tokenizer_are_made_anew_and_its_positions_refused(
    again, tokenizer, paired_digits
):
    task = tasks.build("greater_than", paired_digits, n=4)
    named = {f"pos_{name}" for name in task.prompts[0].positions}

    def without(number, row):
        return {name: value for name, value in row.items() if name not in named}

    for prompt in again(task, tokenizer, without).prompts:
        assert prompt.clean_tokens == (task.bos, *tokenizer(prompt.clean)["input_ids"])
    with pytest.raises(UsageError, match="which are not this tokenizer's for this prompt"):
        again(task, tokenizer, lambda number, row: without(number, row) | {"pos_X": "2"})


def test_a_bos_that_is_put_no_more_moves_the_positions_with_the_tokens(again, tokenizer):
    task = tasks.build("induction", tokenizer, n=4)

    def bare(number, row):
        row = {name: value for name, value in row.items() if not name.startswith("pos_")}
        sides = ("clean_tokens", "corrupted_tokens")
        shorter = {side: row[side].partition(" ")[2] for side in sides}
        return row | shorter | {"pos_X": "4"}

    for one, other in zip(task.prompts, again(task, tokenizer, bare).prompts, strict=True):
        assert other.clean_tokens == one.clean_tokens
        assert other.positions["X"] == 5


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("clean_tokens", "[1, 2]"),
        ("answer_token", "1 2"),
        ("wrong_token", "-1"),
        ("wrong_token", "²"),
    ],
)
def test_what_are_no_token_ids_is_refused(again, tokenizer, column, value):
    task = tasks.build("ioi", tokenizer, n=2)
    with pytest.raises(UsageError, match=f"line 2: {column} must be"):
        again(task, tokenizer, lambda number, row: row | {column: value})


def test_ids_beyond_the_vocabulary_are_another_tokenizers(again, tokenizer):
    task = tasks.build("ioi", tokenizer, n=2)

    def change(number, row):
        row = {name: value for name, value in row.items() if not name.startswith("pos_")}
        return row | {"clean_tokens": "999999999"}

    (first, _) = again(task, tokenizer, change).prompts
    assert first.clean_tokens == task.prompts[0].clean_tokens
