"""No wrong line in what decides verdicts survives the test that is named for it."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_wrong_line_fails_a_test():
    command = [sys.executable, str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent.parent)
    assert done.returncode == 0, done.stdout + done.stderr
