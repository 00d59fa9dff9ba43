"""What stands in a variable of make is data: words for a command, and never a command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parent.parent / "Makefile"
# Prints the words that it was called with.
TELLS = f"""#!{sys.executable}
import json, sys
print(json.dumps(sys.argv[1:]))
"""

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.fixture
def make(tmp_path):
    """Calls make in an empty folder; gives the exit code and the words that `interp` got."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    (programs / "interp").write_text(TELLS)
    (programs / "interp").chmod(0o755)

    def call(*words, **variables):
        known = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        before = {path.name for path in tmp_path.iterdir()}
        command = ["make", "-f", MAKEFILE, "-o", ".venv/installed", f"BIN={programs}", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=known | variables, capture_output=True, text=True
        )
        assert {path.name for path in tmp_path.iterdir()} == before, "something was run"
        said = done.stdout.splitlines()
        return done.returncode, json.loads(said[-1]) if done.returncode == 0 else done.stderr

    return call


EVIL = (
    *(
        "x; touch y",
        "x && touch y",
        "$(shell touch y)",
        "$$(touch y)",
        "`touch y`",
        "x | touch y",
        "> y",
    ),
    *(
        '" ; touch y ; "',
        "'; touch y; '",
        "${shell touch y}",
        "$(error x)",
        "a b",
        "é\u202e",
        "*",
        "~",
        "\\",
    ),
)


@pytest.mark.parametrize("text", EVIL)
def test_a_model_and_a_task_are_one_word_each(make, text):
    words = ["run", "E=works", f"MODEL={text}", f"TASK={text}"]
    assert make(*words) == (0, ["run", "--model", text, "--task", text, "works"])


@pytest.mark.parametrize("text", EVIL[:3])
def test_names_texts_and_the_environment_are_data_too(make, text):
    trained = make("train", f"NAME={text}", f"TEXT={text}")
    assert trained == (0, ["train", f"models/{text}", "--text", text])
    assert make("new", f"NAME={text}") == (0, ["new", "--", text])
    assert make("reports", MODEL=text) == (0, ["run", "all", "--model", text])


def test_options_are_parted_as_a_shell_parts_them_and_nothing_runs(make):
    args = """--prompt "The keys" --top 3 --x 'a;b' $(shell touch y) `touch y` ; touch y"""
    parted = ["--prompt", "The keys", "--top", "3", "--x", "a;b", "$(shell", "touch", "y)"]
    parted += ["`touch", "y`", ";", "touch", "y"]
    assert make("run", "E=a b", f"ARGS={args}") == (0, ["run", "a", "b", *parted])


def test_options_that_are_no_words_are_one_sentence(make):
    code, said = make("run", "E=a", "ARGS=--prompt 'unclosed")
    assert code == 2
    assert said.splitlines()[0] == "error: ARGS cannot be parted into words: No closing quotation"


def test_what_is_not_said_is_not_passed(make):
    assert make("reports") == (0, ["run", "all"])
    assert make("run")[0] == 2
    code, words = make("train")
    assert (code, words[:3]) == (0, ["train", "models/repeats", "--repeats"])


@pytest.mark.parametrize("text", EVIL[:3])
def test_the_seed_and_the_minutes_of_a_fuzz_are_one_word_each(make, tmp_path, text):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "fuzzing").write_text(TELLS)
    words = ["--seed", text, "--minutes", text]
    assert make("fuzz", f"SEED={text}", f"MINUTES={text}") == (0, words)
    assert make("fuzz") == (0, [])


def test_pins_are_picked_by_words(make, tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "pins").write_text(TELLS)
    assert make("pins", "ONLY=quick 'tiny gpt2' ; touch y") == (
        0,
        ["quick", "tiny gpt2", ";", "touch", "y"],
    )
    assert make("pins") == (0, [])
