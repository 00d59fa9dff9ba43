"""Prompts from a user's own file in UTF-8: a CSV with a header, one JSON object a line
(JSONL), or a JSON list of objects.

Columns `clean, corrupted, answer, wrong`: two prompts of as many tokens, and the right and wrong
token after the clean one, written exactly as they follow it, the space before a word included.
Optional are `template` (prompts of one template are resampled together), `order`, and a column
`pos_NAME` for each named position: a token's index as run (0 is the BOS, if there is one), or a
text that occurs once in the clean prompt, whose last token is meant. The other columns of a run's
own `prompts.csv` may be there and are made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

from interp.errors import UsageError, nearest
from interp.rows import Row, rows
from interp.tasks.base import Prompt
from interp.tasks.pairs import enough, pair
from interp.tasks.reader import Reader

REQUIRED = ("clean", "corrupted", "answer", "wrong")
OPTIONAL = ("template", "order")
_MADE_ANEW = (
    "clean_tokens",
    "corrupted_tokens",
    "answer_token",
    "wrong_token",
    "kept",
    "reason",
)
_POSITION = "pos_"

Cells = Mapping[str, str]


def prompts(path: Path, reader: Reader, n: int | None, random: Random) -> list[Prompt]:
    """n of the file's prompts, drawn at random and in the file's order; all of them without n.

    Raises  UsageError, naming file and line, for whatever is not as described above.
    """
    found = [(row, _cells(row)) for row in rows(path)]
    if not found:
        raise UsageError(f"{path} has no prompts")
    enough(path.name, len(found) if n is None else n, len(found))
    if n is not None:
        found = [found[index] for index in sorted(random.sample(range(len(found)), n))]
    return [_prompt(reader, cells, row.place, str(row.number)) for row, cells in found]


def _cells(row: Row) -> Cells:
    """The row's values as a CSV has them; positions may be numbers, what is made anew anything."""
    cells = {}
    for name, value in row.values.items():
        index = name.startswith(_POSITION) and type(value) is int
        if name not in _MADE_ANEW and not index and not isinstance(value, str):
            raise UsageError(f"{row.place}: {name} must be a text, got {value!r:.60}")
        cells[name] = "" if name in _MADE_ANEW else str(value)
    _check_columns(cells, row.place)
    return cells


def _check_columns(row: Cells, where: str) -> None:
    allowed = (*REQUIRED, *OPTIONAL, *_MADE_ANEW)
    if missing := [name for name in REQUIRED if name not in row]:
        raise UsageError(
            f"{where}: columns {', '.join(REQUIRED)} are needed, {', '.join(missing)} not there; "
            f"got {', '.join(map(repr, list(row)[:12])):.200}"
        )
    for name in row:
        if name not in allowed and (not name.startswith(_POSITION) or name == _POSITION):
            raise UsageError(
                f"{where}: no column is called {name!r:.60}; {nearest(name[:60], allowed)}, "
                f"{_POSITION}NAME"
            )


def _prompt(reader: Reader, row: Cells, where: str, line: str) -> Prompt:
    clean = row["clean"]
    named = {
        name.removeprefix(_POSITION): value
        for name, value in row.items()
        if name.startswith(_POSITION) and value
    }
    ends = {
        name: _end(clean, name, value, where)
        for name, value in named.items()
        if not value.isdecimal()
    }
    made = pair(
        reader,
        clean,
        row["corrupted"],
        (row["answer"], row["wrong"]),
        template=row.get("template", ""),
        cluster=row.get("template") or line,
        order=row.get("order", ""),
        ends=ends,
    )
    places = {name: int(value) for name, value in named.items() if value.isdecimal()}
    for name, place in places.items():
        if place >= len(made.clean_tokens):
            raise UsageError(
                f"{where}: position {name} is {place}, but the prompt has "
                f"{len(made.clean_tokens)} tokens"
            )
    return replace(made, positions={**made.positions, **places})


def _end(clean: str, name: str, text: str, where: str) -> int:
    if clean.count(text) != 1:
        raise UsageError(
            f"{where}: position {name} must be a token's index or a text that occurs once in the "
            f"clean prompt; {text!r:.60} occurs {clean.count(text)} times"
        )
    return clean.index(text) + len(text)
