"""The fuzz: `python tests/fuzzing --seed 0 --minutes 10`, or `make fuzz SEED=0 MINUTES=10`.

Inputs are drawn one by one, each from the seed, its kind and its number, so that each can be had
again alone: `python tests/fuzzing --seed 0 --only command_lines --at 17`.
"""

import argparse
import collections
import random
import sys
import tempfile
import time
from pathlib import Path

import command_lines
import data_files
import foreign
import forked
import kills
import streams


def _as_it_is(base, _):
    return base


# name -> (what makes the folder that every input begins with, what draws one and runs it, how many of
# them a round has)
KINDS = {
    "command_lines": (_as_it_is, command_lines.attempt, 8),
    "data_files": (data_files.ground, data_files.attempt, 4),
    "models": (foreign.models, foreign.model, 4),
    "trainings": (_as_it_is, foreign.training, 2),
    "runs": (foreign.runs, foreign.stored, 3),
    "studies": (_as_it_is, foreign.study, 2),
    "streams": (_as_it_is, streams.attempt, 2),
    "kills": (_as_it_is, kills.attempt, 3),
}


def main():
    """Returns 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python tests/fuzzing", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, help="end after so many rounds, whatever the time")
    parser.add_argument("--only", choices=sorted(KINDS), action="append")
    parser.add_argument("--at", type=int, help="this number alone, of one kind")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first number")
    parser.add_argument("--show", action="store_true", help="print every input")
    said = parser.parse_args()
    forked.warm()
    done, codes = collections.Counter(), collections.Counter()
    found, end = 0, time.monotonic() + 60 * said.minutes
    with tempfile.TemporaryDirectory(prefix="fuzz-ground-") as top:
        grounds, base = {}, command_lines.ground(Path(top))
        for kind, number in _order(said):
            if time.monotonic() > end and said.at is None:
                break
            if kind not in grounds:
                grounds[kind] = KINDS[kind][0](base, Path(top) / kind)
            draw = random.Random(f"{said.seed} {kind} {number}")
            with forked.Place(grounds[kind]) as place:
                what, ended, problems = KINDS[kind][1](place, draw)
            done[kind] += 1
            codes[kind, ended.code] += 1
            if said.show:
                told = f"{ended.out}{ended.err}".strip()[-600:]
                stopped = " STOPPED" if ended.stopped else ""
                print(
                    f"{kind} {number}: {what}\n  {ended.code}, {ended.seconds:.1f} s{stopped}: {told}"
                )
            for problem in problems:
                found += 1
                print(f"FOUND {what}\n    {problem}")
                print(f"    python tests/fuzzing --seed {said.seed} --only {kind} --at {number}")
            sys.stdout.flush()
    for kind, n in done.items():
        ends = ", ".join(
            f"{code}: {codes[key]}" for key in sorted(codes) if key[0] == kind for code in key[1:]
        )
        print(f"{kind}: {n} inputs; exit codes {ends}")
    print(f"{sum(done.values())} inputs, {found} findings")
    return int(found > 0)


def _order(said):
    names = said.only or list(KINDS)
    if said.at is not None:
        yield names[0], said.at
        return
    next_number = dict.fromkeys(names, said.first)
    rounds = 0
    while said.rounds is None or rounds < said.rounds:
        rounds += 1
        for kind in names:
            for _ in range(KINDS[kind][2]):
                yield kind, next_number[kind]
                next_number[kind] += 1


if __name__ == "__main__":
    sys.exit(main())
