"""What is found of a sentence-pair classifier that was opened up, kind by kind, as parts of a report."""

from collections.abc import Callable

from jaxtyping import Float
from numpy import ndarray

from interp.classifiers.classifier import Classifier
from interp.classifiers.opened import Opened, isolated
from interp.classifiers.pairs import Pairs
from interp.errors import NotApplicable
from interp.report import NotRun, Table
from interp.views.pairs.evidence import Evidence
from interp.views.pairs.heads import heads, held_out
from interp.views.pairs.inside import across, parts, terms
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


def scored(model: Classifier, pairs: Pairs, decisions: Float[ndarray, " example"]) -> Table:
    """Every pair with its log-odds, its score, and the score that somebody published where there is one."""
    frame = pairs.frame()
    note = f"score: of {model.labels[model.label]!r}; labels: {', '.join(model.labels)}."
    if model.link == "number":
        note += (
            " log_odds and score: the number that the model gives; a regression has no probability."
        )
    if "published" in frame:
        note += (
            " published: what HHEM 1.0 gives, high where the hypothesis follows from the premise."
        )
    frame.insert(3, "log_odds", decisions)
    frame.insert(4, "score", model.scores(decisions))
    return Table("pairs", frame, title="The pairs and their scores", note=note)
