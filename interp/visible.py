"""Foreign text where it is shown: in a terminal, on a page, in a spreadsheet.

Names, headers and sentences of others may hold what a reader cannot see, what moves the cursor or
reorders a line, what a spreadsheet computes, and where somebody's files lie.
"""

import os
import re
import sys
from pathlib import Path

# Controls, bidirectional and zero-width marks, line and paragraph separators, lone surrogates,
# tags and other default-ignorable characters. Joiners inside emoji and scripts (U+200C/D) and
# variation selectors stay: without them text would look different.
HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f"
    "\u2028\u2029\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)
# A cell that begins like this is computed by a spreadsheet; the last four are full-width forms.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
# An absolute path inside a sentence, with a folder in it.
_PATH = re.compile(r"(?<![\w.~/\\])/(?:[^\s/'\"<>|:;,()]+/)+[^\s/'\"<>|:;,()]*")


def reveal(value: str) -> str:
    """`value` with every hidden character spelt as ⟨U+202E⟩; spaces and newlines stay."""
    return HIDDEN.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", value)


def one_line(value: object, limit: int = 400) -> str:
    """Text of others as one line of bounded length; a value that cannot be spelt is said to be one."""
    try:
        text = str(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"
    line = reveal(" ".join(text[: 4 * limit].split()))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def cell(text: str) -> str:
    """Text as a cell of a CSV file that no spreadsheet takes for a formula: one that begins with
    =, +, -, @, a tab or a line end has an apostrophe before it."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(text: str) -> str:
    """The text that `cell` was given."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def relative(path: str) -> str:
    """A path as pages and commands spell it: an absolute one that shares more than the root with the
    working folder goes from there. It never looks like a mere name."""
    if not os.path.isabs(path):
        return path
    here = os.getcwd()
    if os.path.commonpath([here, os.path.normpath(path)]) == os.path.sep:
        return path
    found = os.path.relpath(path, here)
    return found if os.path.sep in found else os.path.join(os.curdir, found)


def title(name: str) -> str:
    """What a model is called on pages: its name as it was given; of a folder that was not named from
    the working folder the last name alone."""
    place = os.path.isabs(name) or name.startswith(("~", "../"))
    return (os.path.basename(os.path.normpath(name)) or name) if place else name


def placeless(text: str) -> str:
    """The text without absolute paths: what lies below the working folder, this checkout or a folder
    of Python's is named from there, what lies below the home folder from ~, all else by its last
    name."""
    known = [(os.getcwd(), ""), *((place, "") for place in sys.path if os.path.isabs(place))]
    known += [(str(Path(__file__).parent.parent), ""), (os.path.expanduser("~"), "~/")]
    for place, word in sorted(known, key=lambda each: -len(each[0])):
        if place.strip("/"):
            text = re.sub(rf"(?<![\w.~/\\]){re.escape(place.rstrip('/'))}/+", word, text)
    return _PATH.sub(lambda found: f"…/{found.group().rstrip('/').rpartition('/')[2]}", text)
