"""The parts of a report as plain data: what an experiment returns and a page shows.

Every block checks itself when it is made, so that a wrong shape is an error in the study that
made it and not a crooked picture in a page.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from interp.report.diagrams import Distribution, Flow, Graph
from interp.report.frames import Frame, checked_name, tidy
from interp.report.numbers import Number
from interp.report.pictures import Attention, Chart, Curve, Heatmap, Maps, TokenStrip
from interp.report.require import all_are, assign, floats, one_of, require, texts

Verdict = Literal["supported", "not supported", "inconclusive", "not run"]

VERDICTS = ("supported", "not supported", "inconclusive", "not run")


@dataclass(frozen=True)
class Headline:
    """One figure that a reader should remember, with its interval and sample size."""

    label: str
    value: Number | str
    unit: str = ""
    low: Number | None = None
    high: Number | None = None
    n: int | np.integer[Any] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        where = f"Headline {self.label!r}"
        if not isinstance(self.value, str):
            assign(self, value=float(floats([self.value], where)[0]))
        require(
            (self.low is None) == (self.high is None),
            f"{where} needs both ends of its interval or neither; got low={self.low}, "
            f"high={self.high}",
        )
        if self.low is not None and self.high is not None:
            low, high = floats([self.low, self.high], where)
            require(low <= high, f"{where} has low={low} above high={high}; swap them")
            assign(self, low=low, high=high)
        if self.n is not None:
            assign(self, n=int(self.n))


@dataclass(frozen=True)
class Text:
    """Paragraphs separated by blank lines, with `code`, **bold** and "- " lists; never HTML."""

    text: str


@dataclass(frozen=True)
class Formula:
    """An equation, shown line by line as it is written."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table, shown sortable and written to tables/<name>.csv."""

    name: str
    frame: Frame
    title: str = ""
    note: str = ""
    first_rows: int = 20

    def __post_init__(self) -> None:
        checked_name(self.name)
        assign(self, frame=tidy(self.frame, f"Table {self.name!r}"))
        require(self.first_rows > 0, f"Table {self.name!r} first_rows must be above 0")


@dataclass(frozen=True)
class Check:
    """A measured error beside the most that is allowed. With `control=True` the computation was spoilt on
    purpose: it passes where the error exceeds the tolerance. A value that is not finite never passes."""

    name: str
    value: Number
    tolerance: Number
    passed: bool | np.bool_ | None = None
    control: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        value = float(self.value)
        assign(self, value=value if math.isfinite(value) else math.nan)
        assign(self, tolerance=float(floats([self.tolerance], f"Check {self.name!r} tolerance")[0]))
        measured = (self.value > self.tolerance) if self.control else (self.value <= self.tolerance)
        assign(self, passed=bool(measured if self.passed is None else self.passed))


@dataclass(frozen=True)
class NotRun:
    """A check that could not run, and why."""

    name: str
    reason: str


Block = (
    Text
    | Formula
    | Heatmap
    | Maps
    | TokenStrip
    | Attention
    | Chart
    | Curve
    | Distribution
    | Flow
    | Graph
    | Table
)
BLOCKS: tuple[Any, ...] = get_args(Block)


def _blocks(blocks: Sequence[Block], where: str) -> tuple[Block, ...]:
    for block in blocks:
        require(
            isinstance(block, BLOCKS),
            f"{where} expected blocks ({', '.join(kind.__name__ for kind in BLOCKS)}), "
            f"got {type(block).__name__}",
        )
    return tuple(blocks)


@dataclass(frozen=True)
class Section:
    """A heading of the evidence and what stands under it."""

    title: str
    blocks: Sequence[Block]
    intro: str = ""

    def __post_init__(self) -> None:
        assign(self, blocks=_blocks(self.blocks, f"Section {self.title!r}"))


@dataclass(frozen=True)
class Report:
    """What a study found: the answer, its verdict, and everything that backs it. `figure` shows the answer,
    and stands beside it on the first screen."""

    answer: str
    verdict: Verdict
    sections: Sequence[Section]
    headlines: Sequence[Headline] = ()
    warnings: Sequence[str] = ()
    inputs: Sequence[Block] = ()
    controls: Sequence[Block] = ()
    checks: Sequence[Check] = ()
    not_run: Sequence[NotRun] = ()
    limits: Sequence[str] = ()
    files: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figure: Block | None = None
    # JSON texts, written to documents/<name>.json.
    documents: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of(self.verdict, VERDICTS, "Report verdict")
        for name in ("warnings", "limits"):
            require(
                not isinstance(getattr(self, name), str),
                f"Report {name} expected a list of sentences, got one string; put it in a list",
            )
            assign(self, **{name: texts(getattr(self, name))})
        kinds = {"sections": Section, "headlines": Headline, "checks": Check, "not_run": NotRun}
        for name, kind in kinds.items():
            assign(self, **{name: tuple(getattr(self, name))})
            all_are(kind, getattr(self, name), f"Report {name}")
        if self.figure is not None:
            _blocks([self.figure], "Report figure")
        assign(
            self,
            inputs=_blocks(self.inputs, "Report inputs"),
            controls=_blocks(self.controls, "Report controls"),
            files={
                checked_name(name): tidy(frame, f"Report file {name!r}")
                for name, frame in self.files.items()
            },
        )
        for name, text in self.documents.items():
            require(isinstance(text, str), f"Report document {checked_name(name)!r} is no text")
        names = [table.name for table in self.tables] + list(self.files)
        twice = sorted({name for name in names if names.count(name) > 1})
        require(not twice, f"Report has more than one table named {', '.join(twice)}; rename one")

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table that the page shows, in the page's order."""
        lead = [] if self.figure is None else [self.figure]
        blocks = [
            *lead,
            *self.inputs,
            *(b for s in self.sections for b in s.blocks),
            *self.controls,
        ]
        return tuple(block for block in blocks if isinstance(block, Table))
