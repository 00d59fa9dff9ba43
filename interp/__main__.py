"""`python -m interp` is the command `interp`."""

import sys


def main() -> int:
    """Runs the command line and returns its exit code."""
    try:
        from interp.lab.cli import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
