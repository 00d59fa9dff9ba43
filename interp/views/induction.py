"""Which heads continue a repetition, what the model gains by it and what of it grew in a training, as
maps, tables and charts."""

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
from interp.training.dynamics import Circuit, Moment, best_heads, composed, course
from interp.transformer import Run, Transformer
from interp.views import pictures


def maps(scores: Mapping[str, np.ndarray], note: str) -> Maps:
    """Scores `[layer head]` beside each other, all on the scale from 0 to 1."""
    titled = {name.replace("_", " ").capitalize(): each for name, each in scores.items()}
    return pictures.maps(titled, scale="sequential", low=0, high=1, note=note)


def every(scores: Scores) -> Maps:
    """Every score of every head, mean over sequences."""
    return maps(scores.means(), "Mean over sequences; 1 is a perfect head of its kind.")


def clearest(scores: Scores, seed: int, top: int = 8) -> Table:
    """score, layer, head, value, ci_low, ci_high and chance of the heads that score highest by each."""
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
    line = pictures.band("loss", range(1, len(each.value) + 1), each)
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


# The kinds of head that make an induction circuit, with the layer that each is sought in.
KINDS = {"induction": 1, "previous_token": 0}


def learning(moments: Sequence[Moment], circuit: Circuit) -> list[Chart]:
    """The loss on both copies, and how far the heads of each layer attend as their kind would, by step."""
    steps = [each.step for each in moments]
    losses = course(moments, circuit)
    copies = {f"{name} copy": losses[name] for name in ("first", "second")}
    attended = {
        f"{name.replace('_', ' ')}, {head}": [
            float(each.scores.of(name, head).mean()) for each in moments
        ]
        for name, layer in KINDS.items()
        for head in (
            Head(layer, number) for number in range(moments[0].scores.values[name].shape[1])
        )
    }
    return [
        pictures.lines("Loss on both copies", steps, copies, "step", "nats per token"),
        pictures.lines("Where heads attend to", steps, attended, "step", "attention"),
    ]


def before_and_after(moments: Sequence[Moment]) -> Maps:
    """Every head's scores before the first step and after the last."""
    sides = (moments[0], "before"), (moments[-1], "after")
    shown = {f"{name}, {when}": each.scores.means()[name] for name in KINDS for each, when in sides}
    return maps(shown, "Mean over sequences.")


def at_fixed_distance(control: Sequence[Moment]) -> Table:
    """step, best_induction, chance and gained of the training that needs no matching."""
    return Table(
        "fixed",
        best_heads(control),
        title="Trained at one fixed distance",
        note="Measured on the same sequences as the model above, whose copies are further apart.",
    )


def composition(moments: Sequence[Moment], circuit: Circuit) -> Table:
    """How strongly the pair composes before the first step and after the last, beside other pairs."""
    return Table(
        "composition",
        composed([moments[0], moments[-1]], circuit),
        title=f"K-composition of {circuit.before} → {circuit.follower} beside other pairs",
        note="Turned: a random rotation of the stream between the two heads.",
    )
