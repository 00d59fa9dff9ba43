"""What is found of a sentence-pair classifier that was opened up, kind by kind, as parts of a report."""

from collections.abc import Callable

from interp.classifiers.opened import Opened, isolated
from interp.errors import NotApplicable
from interp.report import NotRun
from interp.views.pairs.evidence import Evidence
from interp.views.pairs.heads import heads, held_out
from interp.views.pairs.inside import across, parts, terms
from interp.views.pairs.scores import scored
from interp.views.pairs.tokens import tokens

__all__ = ["KINDS", "Evidence", "every", "scored"]

KINDS: dict[str, Callable[[Opened, int], Evidence]] = {
    name: isolated(kind)
    for name, kind in {
        "tokens": tokens,
        "heads": heads,
        "heads on a premise held out": held_out,
        "parts of the vector": parts,
        "attention between the sentences": across,
        "terms of the scores": terms,
    }.items()
}


def every(opened: Opened, top: int) -> tuple[list[Evidence], list[NotRun]]:
    """Every kind of evidence that this classifier allows, with the `top` strongest heads put to the test;
    and why the others are left out."""
    found, not_run = [], []
    for name, kind in KINDS.items():
        try:
            found.append(kind(opened, top))
        except NotApplicable as reason:
            not_run.append(NotRun(name, str(reason)))
    return found, not_run + [each for one in found for each in one.not_run]
