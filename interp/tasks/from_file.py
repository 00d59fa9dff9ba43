"""Prompts from a file of yours in UTF-8: a CSV with a header and commas, one JSON object a line
(.jsonl), or a JSON list of objects (.json); at most 64 MB, and 10,000 prompts at once.

clean       a prompt
corrupted   another one of as many tokens, by which the clean one is measured
answer      the right token after the clean prompt, written exactly as it follows it: with the space
            before a word
wrong       a wrong token, written likewise
template    optional: rows of one template are one cluster, resampled together and never parted
order       optional: which variant of its template the row is
pos_NAME    optional, a column for each named position: a text that occurs once in the clean prompt,
            whose last token is meant; or a token's index as run, 0 being the BOS if there is one

An index is a whole number, or # and one. Digits that occur in the prompt themselves could be either
and are refused, but for a number in JSON and for rows that give their token ids. END is always the
last token and BOS the first; no column moves them. An optional cell that is empty or null is not
given.

The prompts.csv of any run is such a file too: its clusters and items are kept, a row that was
dropped is dropped again, and its token ids are taken where they are this tokenizer's for the texts;
all else is made anew.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

from interp.errors import UsageError, brief, named, nearest
from interp.rows import Row, rows
from interp.tasks import positions
from interp.tasks.base import Prompt
from interp.tasks.pairs import MOST, pair
from interp.tasks.reader import Reader
from interp.visible import from_cell

REQUIRED = ("clean", "corrupted", "answer", "wrong")
OPTIONAL = ("template", "order")
_OF_A_RUN = (*positions.PROMPTS, *positions.ANSWERS, "kept", "reason", "cluster", "item", "half")
_LONGEST_REASON = 200

Cells = Mapping[str, str | int]
Found = tuple[Row, Cells]


def prompts(
    path: Path, reader: Reader, n: int | None, random: Random, n_ctx: int | None = None
) -> list[Prompt]:
    """n of the file's prompts, drawn at random and in the file's order; all of them without n. Those of
    more than `n_ctx` tokens are unfit.

    Raises  UsageError, naming file and line, for whatever is not as described above, and for more
            prompts than there are or than run at once.
    """
    if n is not None and not 1 <= n <= MOST:
        raise UsageError(f"{named(path.name)}: --n must be 1 to {MOST:,}, got {n}")
    found = _all(path) if n is None else _drawn(path, n, random)
    return [_prompt(reader, row, cells, n_ctx) for row, cells in found]


def _all(path: Path) -> list[Found]:
    found = []
    for each in _read(path):
        found.append(each)
        if len(found) > MOST:
            raise UsageError(
                f"{named(path)} has more than the {MOST:,} prompts that run at once; draw some of them "
                f"with --n (at most {MOST:,}), or split the file"
            )
    if not found:
        raise UsageError(f"{named(path)} has no prompts")
    return found


def _drawn(path: Path, n: int, random: Random) -> list[Found]:
    """Read twice, so that a large file need not be kept for a few of its rows."""
    most = sum(1 for _ in _read(path))
    if n > most:
        raise UsageError(
            f"{named(path)} has at most {most} prompts to draw from, {n} were asked for with --n"
            if most
            else f"{named(path)} has no prompts"
        )
    chosen = set(random.sample(range(most), n))
    return [each for number, each in enumerate(_read(path)) if number in chosen]


def _read(path: Path) -> Iterator[Found]:
    as_written = path.suffix.lower() == ".csv"
    for row in rows(path):
        # A run keeps its cells from being formulas; in a table of yours an apostrophe is one.
        of_a_run = as_written and bool(row.values.get(positions.PROMPTS[0]))
        yield row, _cells(row, from_cell if of_a_run else str)


def _cells(row: Row, text: Callable[[str], str]) -> Cells:
    """What the row gives: texts, and numbers where those are positions; an optional cell that is empty
    or null is left out."""
    _check_columns(row)
    cells: dict[str, str | int] = {}
    for name, value in row.values.items():
        if name not in REQUIRED and (value is None or value == ""):
            continue
        index = name.startswith(positions.PREFIX) and type(value) is int
        if index:
            cells[name] = value
        elif isinstance(value, str):
            cells[name] = text(value)
        elif name in _OF_A_RUN and isinstance(value, int):
            cells[name] = str(value)
        else:
            also = (
                "; a token's index is a whole number" if name.startswith(positions.PREFIX) else ""
            )
            raise UsageError(f"{row.place}: {name} must be a text, got {brief(value)}{also}")
    return cells


def _check_columns(row: Row) -> None:
    known = (*REQUIRED, *OPTIONAL, *_OF_A_RUN)
    if missing := [name for name in REQUIRED if name not in row.values]:
        got = ", ".join(brief(name, 20) for name in list(row.values)[:6])
        raise UsageError(
            f"{row.place}: columns {', '.join(REQUIRED)} are needed, {', '.join(missing)} not there; got "
            f"{got or 'none'}; see `interp tasks --format`"
        )
    for name in row.values:
        if name.startswith(positions.PREFIX) and name != positions.PREFIX:
            positions.check_name(name, row.place)
        elif name not in known:
            raise UsageError(
                f"{row.place}: no column is called {brief(name)}; {nearest(name, known)}, "
                f"{positions.PREFIX}NAME"
            )


def _prompt(reader: Reader, row: Row, cells: Cells, n_ctx: int | None) -> Prompt:
    texts = {name: str(value) for name, value in cells.items()}
    ids = positions.recorded(texts, row.place)
    given = {
        name.removeprefix(positions.PREFIX): value
        for name, value in cells.items()
        if name.startswith(positions.PREFIX)
    }
    named_at = positions.read(given, texts["clean"], ids is not None, row.place)
    made = pair(
        reader,
        texts["clean"],
        texts["corrupted"],
        (texts["answer"], texts["wrong"]),
        template=texts.get("template", ""),
        cluster=texts.get("cluster") or texts.get("template") or f"line {row.number}",
        order=texts.get("order", ""),
        item=texts.get("item", ""),
        ends={name: end for name, end in named_at.ends.items() if name not in positions.RESERVED},
        tokens=None if ids is None else ids.tokens(reader, texts),
    )
    places = positions.placed(named_at, reader, made, ids, row.place)
    longest = max(len(made.clean_tokens), len(made.corrupted_tokens))
    too_long = n_ctx is not None and longest > n_ctx
    reason = f"longer than the {n_ctx} tokens that the model reads" if too_long else ""
    return replace(
        made,
        positions={**made.positions, **places},
        reason=reason or _reason(made, texts, row),
        place=row.place.rpartition(", ")[2],
    )


def _reason(made: Prompt, texts: Mapping[str, str], row: Row) -> str:
    kept = texts.get("kept", "True")
    if kept.lower() not in ("true", "false"):
        raise UsageError(f"{row.place}: kept must be True or False, got {brief(kept)}")
    if made.reason or kept.lower() == "true":
        return made.reason
    return texts.get("reason", "")[:_LONGEST_REASON] or "the file says that it is not kept"
