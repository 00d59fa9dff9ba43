"""A fixed sample of the fuzz: bent inputs and killed commands, of which none does harm."""

import subprocess
import sys
from pathlib import Path

import pytest

# Its first kills are of commands that take little time.
SEED = "9"
FUZZING = Path(__file__).parent / "fuzzing"


def fuzz(*words):
    """What the fuzz says, and how often it found something."""
    command = [sys.executable, FUZZING, "--seed", SEED, "--minutes", "60", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=FUZZING.parent.parent)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout, done.returncode


def test_bent_command_lines_and_kills_do_no_harm():
    kinds = ("command_lines", "trainings", "streams", "kills")
    said, found = fuzz("--rounds", "1", *(word for kind in kinds for word in ("--only", kind)))
    assert not found, said
    assert "15 inputs, 0 findings" in said


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(1200)
def test_inputs_and_kills_of_every_kind_do_no_harm():
    said, found = fuzz("--rounds", "3")
    assert not found, said
    assert "84 inputs, 0 findings" in said
