"""What a model gains on repeated tokens, as the blocks of a report."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor

from interp import stats
from interp.effects import Effects
from interp.methods.repetition import Repetition
from interp.report import Chart, Table
from interp.views import charts


def by_position(losses: Tensor, of: Repetition, seed: int = 0) -> Chart:
    """The loss on every token after the first, with its interval over sequences."""
    each = stats.mean(losses.T.double().cpu().numpy(), seed=seed)
    line = charts.band("loss", range(1, len(each.value) + 1), each)
    note = f"The second copy begins at position {of.begin + of.length}."
    return Chart("Loss by position", "line", [line], "position", "nats", note=note)


def by_copy(losses: Tensor, of: Repetition) -> Table:
    """copy and loss: two rows."""
    means = [float(each.mean()) for each in of.by_copy(losses)]
    frame = pd.DataFrame({"copy": ["first", "second"], "loss": means})
    return Table("loss", frame, title="Mean loss per token, the first of the sequence left out")


def without(effects: Effects, clearest: int, seed: int = 0) -> Table:
    """How the gain on the second copy changes without each of the clearest heads, which come first, and
    without each of the random ones after them."""
    frame = effects.frame(seed)
    which = np.where(frame.index < clearest, "clearest", "random, same layer")
    frame.insert(len(effects.names.columns), "which", which)
    return Table(
        "without",
        frame,
        title="Gained on the second copy without a head",
        note="Nats that are gained more (below zero: less) with z of a sequence that does not repeat.",
    )
