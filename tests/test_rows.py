"""The rows of a user's table: what is none is one sentence that says what came and what to do."""

import os
import socket
import subprocess
import sys

import pytest

from interp.errors import UsageError
from interp.rows import rows

HEADER = "clean,corrupted,answer,wrong\n"


@pytest.fixture
def read(tmp_path):
    def of(content, name="mine.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [dict(row.values) for row in rows(path)]

    return of


@pytest.fixture
def refused(read):
    def of(content, name="mine.csv"):
        with pytest.raises(UsageError) as error:
            read(content, name)
        message = str(error.value)
        assert message.isprintable(), "one line, and nothing a terminal acts on"
        assert len(message) < 600
        return message

    return of


def test_the_three_kinds_of_the_same_rows_are_read_alike(read):
    expected = [{"a": "x, y", "b": 'say "so"'}, {"a": "line\nend", "b": "é"}]
    lines = ['{"a": "x, y", "b": "say \\"so\\""}', '{"a": "line\\nend", "b": "é"}']
    assert read('a,b\n"x, y","say ""so"""\n\n"line\nend",é\n') == expected
    assert read("\r\n\r\n".join(lines), "mine.jsonl") == expected
    assert read(f" [\n{lines[0]} ,\t{lines[1]}\n] ", "mine.json") == expected


def test_a_text_may_hold_any_character(read):
    hostile = "\0\x1b\u2028\x85\x0b\t\u202e"
    assert read(f'a,b\n"{hostile}",c\n') == [{"a": hostile, "b": "c"}]
    assert read('{"a": "\\u0000\u2028"}', "mine.jsonl") == [{"a": "\0\u2028"}]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_end_a_line(read, ending):
    assert read(ending.join(["a,b", "1,2", "3,4"])) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize(
    ("separator", "words"),
    [(";", "';'"), ("\t", "a tab"), ("|", "'|'"), (":", "':'"), (" ", "a space"), ("，", "'，'")],
)
def test_another_separator_is_named_and_the_comma_asked_for(refused, separator, words):
    table = (HEADER + "One, two,b,c,d\n").replace(",", separator)
    assert f"the separator is {words}, and ',' is expected" in refused(table)


def test_another_separator_is_seen_beside_commas_and_below_a_right_header(refused):
    assert "the separator is ';'" in refused('clean;"corrupted, or so";answer;wrong\n')
    assert "the separator is ';'" in refused("sep=;\nclean;corrupted;answer;wrong\n")
    assert "line 2: expected 4 cells" in (said := refused(HEADER + "a;b;c;d\n"))
    assert "the separator is ';'" in said
    assert "double quotes" in refused(HEADER + "a; and, b,c,d,e\n")


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ((HEADER + "a,b,c,d").encode("utf-16"), "a.csv", "not UTF-8 text but UTF-16"),
        ((HEADER + "a,b,c,d").encode("utf-16-le"), "a.csv", "byte 1 is zero"),
        ((HEADER + "é,b,c,d").encode("latin-1"), "a.csv", "not UTF-8: byte 29"),
        (b"\x1f\x8b\x08 and more", "a.csv", "compressed (gzip)"),
        (b"PK\x03\x04", "a.csv", "compressed (a zip, or a workbook)"),
        ("a\0,b\n", "a.csv", "byte 1 is zero"),
        ('{"a": "\0"}', "a.jsonl", "byte 7 is zero"),
        ('{"a": "\\ud800"}', "a.jsonl", "lone surrogate"),
        ('{"\\ud800": 1}', "a.jsonl", "lone surrogate"),
        ("a,b,a\n", "a.csv", "two columns called 'a'"),
        ("\x1b[31m,\x1b[31m\n", "a.csv", r"two columns called '\x1b[31m'"),
        ('a,b\n"c,d\n', "a.csv", "line 2: no CSV that can be read"),
        ('a,b\nc,"d"e\n', "a.csv", "the mark itself doubled"),
        (",".join(f"c{n}" for n in range(200_000)), "a.csv", "200,000 columns, at most 1,000"),
        ("a,b\nc," + "d" * 1_000_001, "a.csv", "1,000,001 characters, at most 1,000,000"),
        ('{"a": 1, "a": 2}', "a.jsonl", "'a' stands there twice"),
        ('{"a": NaN}', "a.jsonl", "NaN is no value; write null"),
        ('{"a": -Infinity}', "a.jsonl", "-Infinity is no value"),
        ('{"a": ' + "7" * 5_000 + "}", "a.jsonl", "a number of 5,000 digits"),
        ('{"a": ' * 50_000, "a.jsonl", "nested too deeply"),
        ("[" * 100_000, "a.json", "entry 1: expected a JSON object, got one nested too deeply"),
        ('{"a": 1} {"a": 2}', "a.jsonl", "got more after it"),
        ("{'a': 1}", "a.jsonl", "line 1: expected a JSON object"),
        ('[{"a": 1}]', "a.jsonl", "got [{'a': 1}]"),
        ('{"a": 1}\n{"a": 2}', "a.json", "a .jsonl"),
        ('[{"a": 1} {"a": 2}]', "a.json", "after entry 1"),
        ('[{"a": 1}', "a.json", "got the end of the file"),
        ('[{"a": 1}] more', "a.json", "after entry 1"),
        ('[{"a": 1}, 2]', "a.json", "entry 2: expected a JSON object, got 2"),
        ("a\n", "a.tsv", "must be a .csv, .jsonl or .json file"),
    ],
)
def test_what_is_no_table_is_refused_with_what_came(refused, content, name, words):
    assert words in refused(content, name)


def test_a_text_of_the_longest_length_is_read_and_the_limit_of_others_left_alone(read):
    import csv

    before = csv.field_size_limit()
    assert len(read("a,b\nc," + "d" * 1_000_000)[0]["b"]) == 1_000_000
    assert csv.field_size_limit() == before


def test_only_an_ordinary_file_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.csv"))
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    expected = {
        "pipe.csv": "it is a pipe",
        "socket.csv": "it is a socket",
        "folder.csv": "it is a folder",
        "zero.csv": "it is a device",
        "loop.csv": "symbolic link",
        "none.csv": "No such file",
        "a\0b.csv": "null byte",
        f"{'x' * 300}.csv": "name too long",
        "\x1b[31mred.csv": r"\x1b[31mred.csv: No such file",
    }
    for name, words in expected.items():
        with pytest.raises(UsageError, match="cannot read") as error:
            list(rows(tmp_path / name))
        assert words in str(error.value)
        assert str(error.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no users here")
def test_a_file_of_anothers_says_that_permission_is_denied(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER)
    path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(UsageError, match="cannot read .*: Permission denied"):
            list(rows(path))
    finally:
        os.seteuid(user)


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(10**11)
    with pytest.raises(UsageError, match="larger than the 64 MB that are read"):
        list(rows(path))


def test_a_table_is_read_row_by_row(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write(HEADER)
        file.write("a,b,c,d\n" * 200_000)
    words = "import sys, resource; from pathlib import Path; from interp.rows import rows; "
    words += "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
    words += "n = sum(1 for _ in rows(Path(sys.argv[1]))); "
    words += "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    said = subprocess.run([sys.executable, "-c", words, path], capture_output=True, check=True)
    n, kilobytes = map(int, said.stdout.split())
    assert n == 200_000
    assert kilobytes < 20_000
