"""Offsets, what comes after an ablation, as a report shows them."""

from __future__ import annotations

from interp.methods.offsets import Offsets
from interp.report import Check, Formula
from interp.tasks import Task
from interp.transformer import Transformer
from interp.views import tolerance

TERMS = "direct + later heads + later MLPs + rescaling"


def formula() -> Formula:
    """What the total effect is the sum of."""
    return Formula(f"total = {TERMS} by the final norm")


def adds_up(model: Transformer, task: Task, done: Offsets) -> Check:
    """That the terms, measured on the residual stream, are the total, measured at the logits."""
    return Check(f"{TERMS} − total, logits", done.error, tolerance.logits(model, task))
