"""Positions of a user's prompts mean what they say: an index, or a text; END is where the answer is
read."""

import json

import pytest

from interp import tasks
from interp.errors import UsageError

ROW = {
    "clean": "In 17 Mary saw",
    "corrupted": "In 17 John saw",
    "answer": " John",
    "wrong": " Mary",
}


@pytest.fixture
def positions(file, tokenizer):
    """The positions of one row, written to a CSV or, with json, to a JSONL file."""

    def of(json_=False, **columns):
        row = ROW | {f"pos_{name}": value for name, value in columns.items()}
        if json_:
            path = file(json.dumps(row) + "\n", "mine.jsonl")
        else:
            path = file(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
        (prompt,) = tasks.build(path, tokenizer).prompts
        return dict(prompt.positions)

    return of


@pytest.fixture
def end(tokenizer):
    return len(tokenizer(ROW["clean"])["input_ids"])


def test_a_number_is_an_index_and_a_text_the_place_where_it_ends(positions, end):
    mary = positions(who="Mary")["who"]
    assert positions(who=mary) == {"who": mary, "END": end}
    assert positions(json_=True, who=mary)["who"] == mary
    assert positions(who=f"#{mary}")["who"] == mary
    assert positions(json_=True, who=f"{mary}")["who"] == mary
    assert positions(who="")["END"] == positions(json_=True, who=None)["END"] == end
    assert "who" not in positions(json_=True, who=None)


@pytest.mark.parametrize("digits", ["1", "7", "17"])
@pytest.mark.parametrize("json_", [False, True])
def test_digits_that_occur_in_the_prompt_are_refused_with_the_ways_to_write_them(
    positions, digits, json_
):
    with pytest.raises(
        UsageError, match=f"'{digits}' may be a token's index, and it occurs"
    ) as said:
        positions(json_=json_, year=digits)
    assert f"'#{digits}', or in JSON the number" in str(said.value)


def test_the_ways_to_write_digits_mean_what_they_say(positions):
    year = positions(year="In 17")["year"]
    assert positions(year=f"#{year}")["year"] == year
    assert positions(json_=True, year=1)["year"] == positions(year="#1")["year"] == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1, "is -1, but the prompt has"),
        (99, "is 99, but the prompt has"),
        (10**20, "is 100000000000000000000, but the prompt has"),
        ("9" * 5_000, "but the prompt has"),
        ("-1", "'-1' occurs 0 times"),
        ("²", "'²' occurs 0 times"),
        ("٣", "'٣' occurs 0 times"),
        ("3.0", "'3.0' occurs 0 times"),
        ("a", "'a' occurs more than once"),
        ("Paul" * 1_000, "occurs 0 times"),
        (True, "must be a text, got True; a token's index is a whole number"),
        (3.0, "must be a text, got 3.0; a token's index is a whole number"),
        ([1], r"must be a text, got \[1\]"),
    ],
)
def test_what_is_neither_an_index_nor_a_text_there_once_is_refused(positions, value, words):
    with pytest.raises(UsageError, match=words) as refused:
        positions(json_=True, who=value)
    assert "line 1" in str(refused.value)
    assert len(str(refused.value)) < 600


def test_texts_that_overlap_occur_more_than_once(file, tokenizer):
    row = ROW | {"clean": "aaa Mary saw", "corrupted": "aaa John saw", "pos_who": "aa"}
    with pytest.raises(UsageError, match="'aa' occurs more than once"):
        tasks.build(file(json.dumps(row), "mine.jsonl"), tokenizer)


def test_end_and_bos_may_be_said_and_not_moved(positions, end):
    for value in (end, str(end), f"#{end}"):
        assert positions(END=value) == {"END": end}
    assert positions(json_=True, END=end) == positions(END="saw") == {"END": end}
    assert positions(BOS=0) == {"END": end}
    for name, value, words in (
        ("END", 2, "position END is the prompt's last token.*here token .* says token 2"),
        ("END", "Mary", "position END is the prompt's last token"),
        ("END", end - 1, "where the answer is read"),
        ("BOS", "#1", "position BOS is what is put first, here token 0, and pos_BOS says token 1"),
        ("BOS", "In", "position BOS"),
    ):
        for json_ in (False, True):
            with pytest.raises(UsageError, match=words):
                positions(json_=json_, **{name: value})


@pytest.mark.parametrize("name", ["end", "End", "bos", " END", "a" * 61, " ", "a\tb", "\x1b[31m"])
def test_names_that_are_reserved_or_cannot_be_shown_are_refused(file, tokenizer, name):
    row = ROW | {f"pos_{name}": 1}
    with pytest.raises(UsageError) as refused:
        tasks.build(file(json.dumps(row), "mine.jsonl"), tokenizer)
    assert str(refused.value).isprintable()
