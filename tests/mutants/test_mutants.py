"""Wrong lines in what decides verdicts do not survive the tests that are named for them."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


# All of them take minutes: `make mutants`.
SOME = ("confirmed on the discovery half",)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_wrong_lines_fail_a_test():
    command = [sys.executable, str(HERE), *SOME]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent.parent)
    assert done.returncode == 0, done.stdout + done.stderr
