"""`python -m interp` is the command `interp`."""

import os
import sys


def main() -> int:
    """Runs the command line and returns its exit code."""
    try:
        from interp.cli.main import main as run
    except KeyboardInterrupt:
        return 130
    code = run()
    if code > 128:
        # Had the signal come inside an exec(), Python would end by SIGINT, whatever code is returned.
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
