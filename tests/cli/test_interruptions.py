"""Asked to end, a run tidies up, says so and has the exit code of the signal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from interp.cli.main import interruptible
from interp.runs.key import stored

ROOT = Path(__file__).parent.parent.parent
ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", ASKED)
def test_a_signal_is_raised_once_and_known_afterwards(number):
    before = [signal.getsignal(each) for each in ASKED]
    with interruptible() as interruption:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        # Whoever asks twice does not cut tidying up short.
        os.kill(os.getpid(), number)
    assert interruption.code == 128 + number
    assert [signal.getsignal(each) for each in ASKED] == before


def test_what_was_ignored_from_outside_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.signal is None
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_end_leaves_nothing_and_says_so(place, write_study, number):
    # Inside an exec, after which Python would end by SIGINT.
    waits = "exec(\"print('waiting', flush=True); __import__('time').sleep(60)\")"
    write_study("works", waits)
    words = [sys.executable, "-m", "interp", "run", "works", "--model", "tiny-gpt2"]
    known = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        words, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert "runs" in process.stdout.readline()
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == "error: interrupted; the same command goes on from what is stored\n"
    assert not list((place / "reports").rglob("result.json"))
    assert not list((place / "reports").rglob(".*"))


def test_what_sweeps_kept_goes_although_the_run_was_killed_once_it_was_written(place, interp):
    words = ("run", "works", "--model", "tiny-gpt2")
    assert interp(*words)[0] == 0
    digest = stored(place / "reports/tiny-gpt2/none/works").digest
    sweeps = place / "reports" / ".sweeps"
    (sweeps / f"works-{digest[:16]}" / "sweep").mkdir(parents=True)
    (sweeps / ".interp-0123456789abcdef" / "new").mkdir(parents=True)
    assert "skipped" in interp(*words)[1]
    assert not sweeps.exists()
