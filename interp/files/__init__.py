"""The one way to write a file or a folder: it is there whole, or it is not there.

What is written lies first in a workshop beside its place, a folder `.interp-<random>`, and moves to its
place in one step. A workshop is locked as long as its writer lives: what a killed process left is
known by that, whatever its number was, and goes with the next write beside it. Where a file system has
no locks, left-overs stay.
"""

from interp.files.whole import (
    file,
    folder,
    inside,
    remove,
    write_bytes,
    write_new,
    write_text,
)
from interp.files.workshops import GONE, check, clear, is_of_the_system, reason, writing

__all__ = [
    "GONE",
    "check",
    "clear",
    "file",
    "folder",
    "inside",
    "is_of_the_system",
    "reason",
    "remove",
    "write_bytes",
    "write_new",
    "write_text",
    "writing",
]
