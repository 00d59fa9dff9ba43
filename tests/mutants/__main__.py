"""Puts each wrong line into a copy of the tree, and sees that the test which is named for it fails:
`python tests/mutants`, or `make mutants`; `make mutants ONLY="'always supported'"` for one kind."""

import argparse
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy  # noqa: F401 (for the processes of the tests)
import pytest
import scipy.special
import scipy.stats  # noqa: F401
import torch  # noqa: F401
import transformers  # noqa: F401
from wrong_lines import MUTANTS, Mutant

ROOT = Path(__file__).parent.parent.parent
COPIED = ("interp", "experiments", "tests", "pyproject.toml", "README.md", "Makefile")
ALIVE = "survives"


def outcome(copy: Path, mutant: Mutant) -> str:
    """What became of it: which test failed, or why none did."""
    place = copy / mutant.file
    if not place.is_file():
        return f"there is no {mutant.file}: say where its line is now"
    right = place.read_text(encoding="utf-8")
    if right.count(mutant.line) != 1:
        return f"the line is there {right.count(mutant.line)} times: say which it is now"
    place.write_text(right.replace(mutant.line, mutant.wrong), encoding="utf-8")
    try:
        failed, said = run(copy, mutant.test)
    finally:
        place.write_text(right, encoding="utf-8")
    if failed == 1:
        return ""
    return f"{ALIVE} {mutant.test}" if failed == 0 else f"{mutant.test} could not run:\n{said}"


def run(copy: Path, *tests: str) -> tuple[int, str]:
    """pytest's exit code for these tests in the copy, and what it said: in a process of its own, which
    has what is heavy imported already and nothing of the copy."""
    said = copy / "said.txt"
    child = os.fork()
    if not child:
        # Whatever happens, this process ends here.
        code = 70
        try:
            code = _pytest(copy, said, tests)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8")


def _pytest(copy: Path, said: Path, tests: Sequence[str]) -> int:
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    # A module compiled in the same second as its mutant would pass for it.
    sys.dont_write_bytecode = True
    # A plugin of a library that is imported already is one that is not rewritten.
    quiet = [
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    return int(pytest.main([*quiet, *tests]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="; ".join(MUTANTS))
    kinds = parser.parse_args().kinds or list(MUTANTS)
    if unknown := [kind for kind in kinds if kind not in MUTANTS]:
        parser.error(f"there are no mutants {unknown}; there are: {'; '.join(MUTANTS)}")
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, copy / name)
        tests = sorted({each.test for kind in kinds for each in MUTANTS[kind]})
        failed, said = run(copy, *tests)
        if failed:
            print(f"without a mutant the tests fail:\n{said}")
            return 1
        for kind in kinds:
            for mutant in MUTANTS[kind]:
                found = outcome(copy, mutant)
                alive += bool(found)
                print(f"{kind}: {mutant.file}: {found or f'dies by {mutant.test}'}", flush=True)
    print(f"{alive} of {sum(len(MUTANTS[kind]) for kind in kinds)} mutants live")
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main())
