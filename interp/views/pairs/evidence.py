"""What one kind of evidence brings to a report, and how exactly its sums have to close."""

from collections.abc import Sequence
from dataclasses import dataclass

from interp.classifiers.opened import Opened
from interp.report import Block, Check, Headline, NotRun, Section
from interp.report.blocks import Verdict
from interp.views import tolerance

# Rows of a long table that are shown at first.
SHOWN = 8


@dataclass(frozen=True)
class Evidence:
    """A section, what it found in a sentence, and what goes elsewhere on the page; a verdict if any."""

    section: Section
    said: str
    headlines: Sequence[Headline] = ()
    controls: Sequence[Block] = ()
    checks: Sequence[Check] = ()
    verdict: Verdict | None = None
    not_run: Sequence[NotRun] = ()


def allowed(opened: Opened, least: float, scale: float = 1.0, n_terms: int = 1) -> float:
    """What a check allows in float32, or what rounding makes of it in this number format."""
    rounded = tolerance.rounding(opened.dtype, scale, n_terms, opened.depth)
    return rounded if opened.dtype.itemsize < 4 else max(least, rounded)
