"""Foreign text is harmless where it is shown: in a terminal, in a spreadsheet, on a page."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as any_

from interp.visible import cell, from_cell, one_line, placeless, relative, reveal, title

CONTROLS = [
    *(chr(each) for each in range(32) if chr(each) != "\r"),
    *map(chr, range(0x7F, 0xA0)),
    "\u202e",
    "\u2066",
    "\u200b",
    "\ud800",
]


def test_what_moves_a_cursor_or_reorders_a_line_is_spelt():
    shown = reveal("".join(CONTROLS))
    assert set(shown) <= set("⟨⟩U+0123456789ABCDEF\t\n")
    assert reveal("\x1b[2Jé — ☃ 👩‍👩‍👧") == "⟨U+001B⟩[2Jé — ☃ 👩‍👩‍👧"


@given(any_.text())
def test_one_line_is_one_line_of_bounded_length(text):
    line = one_line(text, 50)
    assert len(line.splitlines()) <= 1
    assert len(line) <= 50 or "⟨U+" in line


def test_a_value_that_cannot_be_spelt_is_said_to_be_one():
    class Hostile(Exception):
        def __str__(self):
            raise RuntimeError

    assert one_line(Hostile()) == "<Hostile that cannot be shown>"


@given(any_.text() | any_.text("'=+-@\t\r\n＝a", max_size=4))
def test_no_cell_begins_a_formula_and_each_is_read_back(text):
    written = cell(text)
    assert not written.startswith((*"=+-@\t\r\n", *"＝＋－＠"))
    assert from_cell(written) == text


def test_plain_words_and_quotes_are_cells_as_they_are():
    for text in (" the", "the", "don't", "'tis", "1", "", " -", "a=b"):
        assert cell(text) == from_cell(text) == text


def test_paths_are_named_from_the_working_folder_where_it_leads_there(tmp_path, monkeypatch):
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    assert relative(str(place / "models" / "mine")) == "models/mine"
    assert relative(str(place / "mine")) == "./mine"
    assert relative(str(tmp_path / "mine")) == "../mine"
    assert relative(str(place)) == "./."
    assert relative("/nowhere/mine") == "/nowhere/mine"
    assert relative("models/mine") == "models/mine"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/home/ann/models/mine", "mine"),
        ("/home/ann/models/mine/", "mine"),
        ("~/mine", "mine"),
        ("/", "/"),
        ("models/mine", "models/mine"),
        ("org/model", "org/model"),
        ("../mine", "mine"),
    ],
)
def test_a_model_is_called_by_its_name_and_not_by_where_it_lies(name, shown):
    assert title(name) == shown


def test_sentences_carry_no_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    assert placeless(f"no file '{tmp_path}/a/b.csv'") == "no file 'a/b.csv'"
    assert placeless("no file /home/ann/secret/b.csv.") == "no file ~/secret/b.csv."
    monkeypatch.setenv("HOME", "/Users/Ann Lee")
    assert placeless("no file /Users/Ann Lee/secret/b.csv.") == "no file ~/secret/b.csv."
    assert placeless("in /srv/data/b.csv: no") == "in …/b.csv: no"
    library = Path(os.__file__).parent / "json" / "decoder.py"
    assert placeless(f'File "{library}", line 3') == 'File "json/decoder.py", line 3'
    for same in ("and/or", "3/4/5", "https://example.org/a/b", "a / b", "models/mine/x", "/"):
        assert placeless(same) == same
