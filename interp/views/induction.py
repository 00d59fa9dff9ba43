"""Which heads continue a repetition and what the model gains by it, as maps, tables and charts."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from interp import stats
from interp.components import Head
from interp.effects import Effects
from interp.methods.induction import Scores
from interp.methods.repetition import Repetition
from interp.report import Attention, Chart, Maps, Table
from interp.transformer import Run, Transformer
from interp.views import charts, pictures


def maps(scores: Mapping[str, np.ndarray], note: str) -> Maps:
    """Scores `[layer head]` beside each other, all on the scale from 0 to 1."""
    titled = {name.replace("_", " ").capitalize(): each for name, each in scores.items()}
    return pictures.maps(titled, scale="sequential", low=0, high=1, note=note)


def every(scores: Scores) -> Maps:
    """Every score of every head, mean over sequences."""
    return maps(scores.means(), "Mean over sequences; 1 is a perfect head of its kind.")


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


def patterns(model: Transformer, run: Run, heads: Sequence[Head]) -> Attention:
    """Attention of these heads in the first sequence of a run that kept every pattern."""
    chosen = [(head.layer, head.index) for head in heads]
    layers, rows = zip(*chosen, strict=True)
    drawn = run.cache.stack("pattern")[layers, 0, rows].float().cpu().numpy()
    title = "The clearest induction heads on a short sequence"
    return Attention(title, [model.to_str_tokens(run.tokens[0])], [drawn], chosen)


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
