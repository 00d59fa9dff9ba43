"""Logits to one number per prompt. Each metric says which positions and columns it reads, so that
nothing else has to be unembedded.

A metric belongs to a batch of prompts: it knows their answers. It is called with the logits of any
rows, `[example label d_vocab]` (label counts the positions read, the last axis the columns), and with
the number of the prompt that each row comes from.
"""

from interp.metrics.answers import (
    Accuracy,
    AnswerLogProb,
    LogitDifference,
    ProbabilitySum,
    logit_difference,
)
from interp.metrics.metric import Metric, measured
from interp.metrics.predictions import KLToBase, Loss

__all__ = [
    "Accuracy",
    "AnswerLogProb",
    "KLToBase",
    "LogitDifference",
    "Loss",
    "Metric",
    "ProbabilitySum",
    "logit_difference",
    "measured",
]
