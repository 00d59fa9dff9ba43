"""What the lens shows as the charts, maps and words of a report."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from interp.methods.lens import Gains, Lens
from interp.report import Chart, Headline, Maps, Series, Table, Text
from interp.tasks import Task
from interp.transformer import Run, Transformer
from interp.views import estimates, pictures, rules


def overall(table: pd.DataFrame) -> list[Chart | Table]:
    """Layer by layer at the last token: log-probabilities, answer above wrong, KL and entropy."""
    distance = "Distance to the model's own distribution, and how undecided the lens is"
    log_probs = {which: f"{which}_log_prob" for which in ("answer", "wrong", "random")}
    apart = {"answer − wrong": "logit_difference"}
    note = (
        f"At the last token of {table['n'].iloc[0]} prompts, with 95 % intervals; answer_top is a share of "
        "prompts."
    )
    return [
        _chart("Log-probability at the last token", table, log_probs, "nats"),
        _chart("Answer above wrong answer", table, apart, "logits"),
        _chart(distance, table, {"KL": "kl", "entropy": "entropy"}, "nats"),
        Table("layers", table, note=note, first_rows=10),
    ]


def _chart(title: str, table: pd.DataFrame, columns: Mapping[str, str], unit: str) -> Chart:
    lines, layers = [], table["layer"].to_numpy()
    for name, column in columns.items():
        ends = [table[f"{column}_{end}"].to_numpy() for end in ("low", "high")]
        low, high = (None, None) if np.isnan(ends).any() else ends
        lines.append(Series(name, layers, table[column].to_numpy(), low, high))
    return Chart(title, "line", lines, "layers so far", unit)


def one_prompt(
    model: Transformer, seen: Lens, example: int, words: Sequence[str]
) -> list[Table | Maps]:
    """The most likely token, the answer's rank, KL and entropy, at every layer and position."""
    top = seen.top[:, example, : len(words)].tolist()
    frame = pd.DataFrame(
        [[repr(model.to_single_str_token(token))[1:-1] for token in row] for row in top],
        columns=[f"{place} {word!r}" for place, word in enumerate(words)],
    )
    frame.insert(0, "layer", range(len(frame)))
    shown = {
        "Rank of the answer, log₁₀: 0 is the most likely": seen.rank[0].log10(),
        "KL to the model's own distribution, nats": seen.kl,
        "Entropy, nats": seen.entropy,
    }
    values = {title: each[:, example, : len(words)] for title, each in shown.items()}
    depth = [str(layer) for layer in range(len(top))]
    axes = ("layer", "pos")
    return [
        Table("top_tokens", frame, title="The most likely token", first_rows=len(frame)),
        pictures.maps(values, axes, rows=depth, columns=list(words), scale="sequential"),
    ]


def echo(model: Transformer, seen: Lens, run: Run) -> list[Text | Chart]:
    """At how many positions the lens's top token is the input token."""
    same = (seen.top == run.tokens)[:, run.real].double().mean(-1).cpu().numpy()
    said = (
        "Embedding and unembedding are the same matrix here, so the embedding read out at once is the input "
        "token itself unless the final norm's weight gets in the way: early entries tell what was read."
        if model.config.tied
        else "Embedding and unembedding are two matrices here, so an early entry need not echo its input."
    )
    title = "Positions where the lens's top token is the input token"
    series = [Series("share", range(len(same)), same)]
    return [Text(said), Chart(title, "line", series, "layers so far", "share of positions")]


def few_layers(model: Transformer) -> str:
    """Why a model has no gains."""
    layers = model.config.n_layers
    return f"{model.name} has {layers} layer{'s' if layers > 1 else ''}, too few for thirds of them"


def headlines(found: Gains) -> list[Headline]:
    """What answer − wrong gains in the end, and before."""
    return [
        estimates.headline("answer − wrong, gained over the last third", found.late, "logits"),
        estimates.headline("gained over the first two thirds", found.early, "logits"),
    ]


def rule(found: Gains, fresh: Task) -> Text:
    """What the verdict rests on."""
    return rules.rule(
        "the answer gains as much over the first two thirds of the layers as over the last third; the layers "
        "were named beforehand. Supported: the interval of the difference lies above zero, not supported: "
        "below.",
        f"prompts like the {fresh.n} held-out ones, of {found.more.clusters} independent groups (templates).",
        f"{rules.least(found.more)} logits; the difference is {float(found.more.value):.3g}.",
    )


def random_token(table: pd.DataFrame) -> Text:
    """What the control's line is."""
    random, answer = (table[f"{which}_log_prob"].iloc[-1] for which in ("random", "answer"))
    return Text(
        "In the chart of log-probabilities `random` is a token drawn at random for each prompt: it ends "
        f"at {random:.2f} nats, the answer at {answer:.2f}. What all three lines do together is the lens, "
        "not the answer."
    )
