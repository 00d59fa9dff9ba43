"""Commands that are killed, at a random moment or at a random call by which a file is made, moved or
kept, and then repeated.

After the kill: no traceback, the exit code of the signal, nothing half-written, and after SIGTERM and
Ctrl-C nothing left over. After the same command again: exit code 0, nothing left over, and the same
files as without a kill, the same bytes but for times.
"""

import os
import shutil
import signal

from command_lines import SHORT, SMALL, shown
from forked import Command, Place, call
from outcome import problems
from written import contents, torn

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CALLS = ("mkdir", "rename", "replace", "fsync", "rmdir", "unlink")
TEXT = ("--text", "text.txt", "--context", "16")
LABELS = ("--labels", "pairs.csv", "--context", "32")
TASK = ("--model", "books-gpt2", "--task", "gendered_pronoun", "--n", "24")
# name -> (command, how many of a hundred kills it gets)
COMMANDS = {
    "run": (["run", "works", "--model", "tiny-neox"], 10),
    "run again": (["run", "works", "--model", "tiny-gpt2", "--force"], 8),
    "run with settings": (["run", "works", "--model", "tiny-gpt2", "--top", "3"], 6),
    "sweep": (["run", "head_ablation", *TASK], 8),
    "index": (["index"], 8),
    "render": (["render"], 6),
    "compare": (["compare", "tiny-gpt2/none/works", "tiny-llama/none/works"], 6),
    "train": (["train", "models/new", "--repeats", *SMALL, *SHORT], 12),
    "train on": (["train", "models/mine", "--repeats", *SMALL, *SHORT, "--steps", "9"], 6),
    "finetune": (["finetune", "books-gpt2", "models/tuned", *TEXT, *SHORT], 8),
    "labels": (["finetune", "tiny-gpt2", "models/judge", *LABELS, *SHORT], 6),
    "export": (["export", "books-gpt2", "exported"], 8),
    "convert": (["run", "works", "--model", "smollm2-135m"], 6),
    "new": (["new", "question"], 1),
    "new-task": (["new-task", "mine"], 1),
}  # fmt: skip
_LIMIT = 300.0
_known = {}


def attempt(place, draw, names=tuple(COMMANDS)):
    """A command that was drawn, killed and repeated; and what was wrong after each."""
    name = draw.choices(names, weights=[COMMANDS[each][1] for each in names])[0]
    words, _ = COMMANDS[name]
    expected, took, calls = _undisturbed(name, words, place)
    before, number = contents(place), draw.choice(SIGNALS)
    at = draw.randint(1, calls) if draw.random() < 0.7 else 0
    delay = took * draw.random()
    command = Command(words, place, lambda: _counting(at, number))
    if not at and command.runs(delay):
        command.send(number)
    ended = command.wait(_LIMIT)
    # Before the program has begun, and once it has finished, the system ends it.
    codes = (0, -number) if number == signal.SIGKILL else (0, -number, 128 + number)
    found = problems(ended, place, codes)
    if number == signal.SIGKILL:
        found = [each for each in found if not each.startswith("left over")]
    found += torn(place, before, expected)
    again = call(words, place, _LIMIT)
    found += [f"repeated: {each}" for each in _repeated(again, words, place, expected)]
    when = f"call {at} of {calls}" if at else f"{delay:.1f} of {took:.1f} s"
    return f"{shown(words)}, {number.name} at {when}", ended, found


def _repeated(again, words, place, expected):
    if words[0] in ("export", "new", "new-task") and again.code == 2:
        # What was there whole may not be replaced.
        found = [] if "is there already" in again.err or "exists" in again.err else [again.err]
    else:
        found = problems(again, place, (0,))
    now = contents(place)
    other = sorted(
        each for each in now.keys() | expected.keys() if now.get(each) != expected.get(each)
    )
    return [*found, *([f"other files: {other[:5]}"] if other else [])]


def _undisturbed(name, words, place):
    """What the command writes, how long it takes, and how many calls it makes for that."""
    if name not in _known:
        with Place(place.here) as other:
            _known[name] = {}
            ended = Command(words, other, lambda: _counting(-1, 0)).wait(_LIMIT)
            assert ended.code == 0, ended
            calls = int((other.told / "calls").read_text())
            _known[name] = (contents(other), ended.seconds, max(1, calls))
            shutil.rmtree(other.cache, ignore_errors=True)
    return _known[name]


def _counting(at, number):
    """From now on calls that make, move or keep files are counted; at the so manieth this process is
    sent the signal. At -1 the count is kept in a file."""
    calls = 0
    told = os.open(
        os.path.join(os.environ["TMPDIR"], "..", "told", "calls"), os.O_CREAT | os.O_WRONLY
    )

    def counted(call):
        def counting(*given, **named):
            nonlocal calls
            calls += 1
            if at == -1:
                os.pwrite(told, str(calls).encode(), 0)
            if calls == at:
                os.kill(os.getpid(), number)
            return call(*given, **named)

        return counting

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
