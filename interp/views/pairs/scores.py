"""The pairs with their scores."""

from jaxtyping import Float
from numpy import ndarray

from interp.classifiers.classifier import Classifier
from interp.classifiers.pairs import Pairs
from interp.report import Table


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
