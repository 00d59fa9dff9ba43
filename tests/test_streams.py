"""What is printed is harmless, and no stream that fails stops the work or hides what went wrong."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from interp.cli.main import main
from interp.streams import Stream, guarded

ROOT = Path(__file__).parent.parent


def shell(line, **variables):
    """A line of shell in which `interp` is this package; its exit code, output and complaints."""
    line = f'interp() {{ {sys.executable} -m interp "$@"; }}\n{line}'
    known = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, env=known, capture_output=True)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode()


def test_control_characters_are_spelt_whoever_prints_them():
    out = io.StringIO()
    Stream(out).write("a\x1b[2Jb\x07\u202ec\rd\x9be\n\tf")
    assert out.getvalue() == "a⟨U+001B⟩[2Jb⟨U+0007⟩⟨U+202E⟩c⟨U+000D⟩d⟨U+009B⟩e\n\tf"


def test_a_stream_of_few_characters_escapes_the_others():
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, "ascii"))
    stream.write("layers → é\ud800")
    stream.flush()
    assert raw.getvalue() == b"layers \\u2192 \\xe9\\u27e8U+D800\\u27e9"


def test_streams_are_as_before_after_the_guard(capsys):
    before = sys.stdout, sys.stderr
    with guarded() as streams:
        assert (sys.stdout, sys.stderr) == streams
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        (
            "interp list > /dev/full",
            1,
            "standard output cannot be written: No space left on device",
        ),
        ("interp list >&-", 1, "standard output cannot be written: it is closed"),
        ("interp rnu 2> /dev/full", 2, "No such command 'rnu'"),
        ("interp rnu 2>&-", 2, "No such command 'rnu'"),
        ("interp rnu >&- 2>&-", 2, ""),
        ("interp list < /dev/null <&- | cat", 0, ""),
    ],
)
def test_a_full_or_closed_stream_is_one_sentence_on_the_other(line, code, sentence):
    ended, out, err = shell(line)
    assert ended == code
    assert sentence in out + err
    assert (out + err).count("error: ") == bool(sentence)
    assert "Traceback" not in out + err
    assert "Exception" not in out + err


@pytest.mark.parametrize("word", ["9" * 5000, "ü" * 100_000, "x\x1b[2J" * 900])
@pytest.mark.parametrize(
    "line",
    ["run", "run works --draws", "export tiny-gpt2 x --dtype", "list", "train x --steps", "new"],
)
def test_whatever_was_said_the_answer_is_short_and_ends_with_what_to_do(capsys, line, word):
    assert main([*line.split(), word]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert 20 < len(said) < 600
    assert "…" in said or len(said) < 200
    assert said.isprintable()


@pytest.mark.parametrize("line", ["interp list | head -1", "interp list | true"])
def test_a_reader_who_leaves_is_no_error(line):
    code, _, err = shell(f"set -o pipefail\n{line}")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("coding", ["ascii", "latin-1"])
def test_a_terminal_of_few_characters_gets_every_line(coding):
    code, out, err = shell("interp tasks", PYTHONIOENCODING=coding)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(shell("interp tasks")[1].splitlines())
