"""Scores of heads in shares of 1, such as attention, as maps and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from interp.components import Head
from interp.methods.induction import Scores
from interp.report import Attention, Maps, Table
from interp.transformer import Run, Transformer
from interp.views import pictures


def maps(scores: Mapping[str, np.ndarray], note: str) -> Maps:
    """Scores `[layer head]` beside each other, all on the scale from 0 to 1."""
    titled = {name.replace("_", " ").capitalize(): each for name, each in scores.items()}
    return pictures.maps(titled, scale="sequential", low=0, high=1, note=note)


def clearest(scores: Scores, seed: int, top: int = 8) -> Table:
    """score, layer, head, value, ci_low, ci_high and chance of the heads that score highest, for every
    score."""
    rows = []
    for name, each in scores.estimates(seed).items():
        for head in scores.ranked(name)[:top]:
            at = head.layer, head.index
            ends = (float(end[at]) for end in (each.value, each.low, each.high))
            rows.append([name, *at, *ends, float(scores.chance[name][head.layer])])
    columns = ["score", "layer", "head", "value", "ci_low", "ci_high", "chance"]
    return Table("clearest", pd.DataFrame(rows, columns=columns), first_rows=2 * top)


def beside_chance(scores: Scores) -> Table:
    """How far the clearest head stands above all others: the other heads are its controls."""
    frame = scores.frame()
    rows = [
        [name, frame[name].max(), frame[name].median(), float(chance.mean())]
        for name, chance in scores.chance.items()
    ]
    return Table(
        "control",
        pd.DataFrame(rows, columns=["score", "clearest head", "median head", "chance"]),
        title="Beside other heads and chance",
        note="Chance: attention spread evenly over what a query may see; for copying, one in the sequence.",
    )


def patterns(model: Transformer, run: Run, heads: Sequence[Head], title: str) -> Attention:
    """Attention of these heads in the first sequence of a run that kept every pattern."""
    chosen = [(head.layer, head.index) for head in heads]
    kept = run.cache.stack("pattern")[:, 0].float().cpu().numpy()
    drawn = np.stack([kept[at] for at in chosen])
    return Attention(title, [model.to_str_tokens(run.tokens[0])], [drawn], chosen)
