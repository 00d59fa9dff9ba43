"""What is wrong with how a command ended, whatever it was given."""

import hashlib

from forked import call

MOST = 600
# Seconds of processor that a command may take.
LIMIT = 25.0
# Names of what only Python makes.
_COMPILED = "__pycache__"


def problems(ended, place, allowed=(0, 2, 3), may_last=False):
    """What was wrong, a sentence each. `allowed` are the exit codes that can be meant; a command that
    `may_last` may have been stopped by Ctrl-C when its time was over."""
    found = []
    whole = ended.out + ended.err
    if ended.hung:
        found.append(f"hangs, at {_where(ended.stopped)}")
    elif ended.stopped and not (may_last and ended.code == 130):
        found.append(f"took {ended.seconds:.0f} s, exit code {ended.code}, {_where(ended.stopped)}")
    elif not ended.stopped and ended.code not in allowed:
        found.append(f"exit code {ended.code}: {(ended.err or ended.out)[-400:]!r}")
    for sign in ("Traceback", "a fault of this program", "Exception ignored", "Warning:"):
        if sign in whole:
            found.append(f"{sign}: {whole[whole.index(sign) :][-400:]!r}")
    for line in whole.splitlines():
        if line.startswith("error: ") and len(line) > MOST and ended.code in (2, 3):
            found.append(f"an error of {len(line):,} characters: {line[:200]}…")
    if ended.code in (2, 3) and not whole.strip():
        found.append(f"exit code {ended.code} without a word")
    if hidden := {each for each in whole if not each.isprintable() and each not in "\n\t"}:
        found.append(f"printed {sorted(hidden)[:5]!r}")
    if not ended.hung and (left := place.left_over()):
        found.append(f"left over: {left[:4]}")
    return found


def ran(words, place, allowed=(0, 2, 3), may_last=False, limit=LIMIT):
    """How a command ended, and what was wrong; what is refused must have changed nothing."""
    before = files(place.here)
    ended = call(words, place, limit)
    found = problems(ended, place, allowed, may_last)
    if ended.code in (2, 3) and (other := changed(before, files(place.here))):
        found.append(f"refused, and these changed: {other[:5]}")
    return ended, found


def files(folder, compiled=False):
    """path -> checksum of every ordinary file below a folder, and what stands for others."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not compiled and _COMPILED in path.parts:
            continue
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = "a link"
        elif path.is_file():
            # A sparse file of a terabyte is not read.
            small = path.stat().st_size < 1 << 30
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if small else "large"
        else:
            found[name] = "a folder" if path.is_dir() else "special"
    return found


def changed(before, after):
    """What is other, or new, or gone."""
    names = sorted(before.keys() | after.keys())
    return [name for name in names if before.get(name) != after.get(name)]


def _where(stack):
    """The innermost lines of where a process was."""
    return " < ".join(line.strip() for line in stack.splitlines()[1:5])
