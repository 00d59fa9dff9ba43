"""Runs what is pinned, says what is no longer found, and pins what is: `make pins`, `make pins ONLY=quick`.

`python tests/pins --check quick` pins nothing and ends with 1 if something differs.
"""

import argparse
import sys

from comparing import differences
from recording import PINS, record, store, stored

MOST = 40
RENEW = "If this is meant: make pins, and let the commit say why."


def main() -> int:
    parser = argparse.ArgumentParser(prog="pins", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PINS)}; else all")
    parser.add_argument("--check", action="store_true", help="pin nothing")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in PINS]
    if unknown:
        parser.error(f"no pins are called {', '.join(unknown)}; there are {', '.join(PINS)}")
    differ = False
    for name in arguments.names or PINS:
        pinned, found = stored(name), record(name)
        lines = differences(pinned, found)
        # What is new is pinned too, but is no difference.
        grown = not arguments.check and bool(differences(found, pinned))
        print(f"{name}: {len(lines)} differences in {len(found)} runs")
        print("".join(f"  {line}\n" for line in lines[:MOST]), end="")
        if lines[MOST:]:
            print(f"  and {len(lines) - MOST} more")
        if not arguments.check and (lines or grown):
            store(name, found)
            print(f"  pinned anew{'' if lines else ': only more than before'}")
        differ |= bool(lines)
    if differ and arguments.check:
        print(RENEW)
    return int(differ and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
