"""Commands that are killed at a random moment, and repeated: `python tests/fuzzing/kills.py SEED N`.

After each kill: no traceback, the exit code of the signal, and after SIGTERM and Ctrl-C nothing left
over; after the same command has been repeated: exit code 0, nothing left over, and the same files as
without a kill, the same bytes where no clock is written down.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
STUDY = '''"""Does it work?

Method  None.
"""

import pandas as pd

from interp.lab import experiment
from interp.report import Report, Section, Table


@experiment(expects="It works.", task=None)
def works(model, task, *, prompt: str = "Mary and John"):
    run = model.run(prompt)
    frame = pd.DataFrame({"x": run.logits[0, -1].double().numpy()})
    return Report("It does.", "supported", [Section("All", [Table("logits", frame)])])
'''
# Ends itself by a signal at the so manieth time that it asks the system to make, move or keep a file.
AT_A_CALL = """
import os, sys
at, number, words = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
calls = 0
def counted(call):
    def counting(*given, **named):
        global calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), number)
        return call(*given, **named)
    return counting
for name in ("mkdir", "rename", "replace", "fsync", "rmdir", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
from interp.__main__ import main
sys.argv = ["interp", *words]
code = main()
if not at:
    print("calls", calls)
sys.exit(code)
"""
SHORT = ["--steps", "6", "--batch", "2", "--warmup", "1"]
SMALL = [
    "--preset",
    "attn-only",
    "--layers",
    "2",
    "--heads",
    "2",
    "--width",
    "16",
    "--context",
    "32",
]
COMMANDS = {
    "run": ["run", "works", "--model", "tiny-gpt2"],
    "index": ["index"],
    "train": ["train", "models/mine", "--repeats", *SMALL, *SHORT],
    "finetune": [
        "finetune",
        "books-gpt2",
        "models/tuned",
        "--text",
        "text.txt",
        "--context",
        "16",
        *SHORT,
    ],
    "export": ["export", "books-gpt2", "exported"],
}
# Their bytes tell of clocks and memory.
TIMED = ("report.html", "result.json", "results.json", "index.html", "state.safetensors")


def prepared(place):
    """A folder to work in: a study, a text, and a reports folder with one run for the index."""
    (place / "experiments").mkdir(parents=True)
    (place / "experiments" / "works.py").write_text(STUDY)
    rows = [f"the fox number {row} saw {row * 7} grapes and said sour" for row in range(100)]
    (place / "text.txt").write_text("\n".join(rows))
    (place / "reports").mkdir()
    return place


def started(words, place, at=None, number=0):
    """The command in this folder, as a process of its own; one that ends itself at a call."""
    program = ["-m", "interp"] if at is None else ["-c", AT_A_CALL, str(at), str(int(number))]
    known = os.environ | {
        "PYTHONPATH": str(ROOT),
        "INTERP_CACHE": str(place.parent / "cache"),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    return subprocess.Popen(
        [sys.executable, *program, *words],
        cwd=place,
        env=known,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def files(place):
    """Every file but the bytecode, with its checksum where that cannot differ."""
    return {
        str(path.relative_to(place)): ""
        if path.name in TIMED
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def left_over(place):
    return [str(path) for path in place.rglob(".interp-*")]


def killed(words, place, number, delay=0.0, at=None):
    """What went wrong when this command was killed after so many seconds, or at a call, and repeated."""
    process = started(words, place, at, number)
    if at is None:
        time.sleep(delay)
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    problems = ["traceback"] if "Traceback" in out + err else []
    ended = process.returncode
    if number == signal.SIGKILL:
        expected = (0, -9)
    else:
        # Before the program has begun, the system ends it.
        expected = (0, 128 + number, -number)
        problems += left_over(place)
    if ended not in expected:
        problems.append(f"exit code {ended}: {err[-300:]}")
    again = started(words, place)
    out, err = again.communicate(timeout=120)
    if again.returncode != 0 and not (words[0] == "export" and "is there already" in err):
        problems.append(f"repeated: exit code {again.returncode}: {err[-300:]}")
    return problems + left_over(place)


def main(seed, n, names=tuple(COMMANDS)):
    """Kills each of the commands n times and returns how often that did harm."""
    random_, harm = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as top:
        for name in names:
            words = COMMANDS[name]
            reference = prepared(Path(top) / f"{name}-reference" / "here")
            began = time.monotonic()
            process = started(words, reference, at=0)
            out, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
            took, expected = time.monotonic() - began, files(reference)
            calls = int(out.split()[-1])
            for each in range(n):
                place = prepared(Path(top) / f"{name}-{each}" / "here")
                number = random_.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
                delay, at = took * (0.3 + 0.75 * random_.random()), random_.randint(1, calls)
                at = None if each % 3 == 0 else at
                problems = killed(words, place, number, delay, at)
                if files(place) != expected:
                    differing = set(files(place).items()) ^ set(expected.items())
                    problems.append(f"other files: {sorted({name for name, _ in differing})[:6]}")
                harm += bool(problems)
                for problem in problems:
                    when = f"after {delay:.2f} of {took:.2f} s" if at is None else f"at call {at}"
                    print(f"{name}, {number.name} {when}: {problem}")
            print(f"{name}: killed {n} times, takes {took:.1f} s and {calls} calls", flush=True)
    return harm


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] or tuple(COMMANDS)) > 0)
