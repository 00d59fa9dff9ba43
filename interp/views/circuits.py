"""Heads' circuits by their weights: maps of scores, and which heads compose with which."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp.components import Head
from interp.methods.composition import Compositions
from interp.report import Edge, Graph, Maps, Node, Section, Table, Text
from interp.transformer import Config
from interp.views.pictures import array, heatmap, maps

_TITLES = {
    "copying_embedding": "Copying, tokens as embedded",
    "copying_first_mlp": "Copying, after the first MLP",
    "accuracy_embedding": "Copying accuracy, as embedded",
    "accuracy_first_mlp": "Copying accuracy, after the first MLP",
}
_PAIRS, _EDGES = 200, 40


def heads(frame: pd.DataFrame, config: Config, offsets: Sequence[int]) -> list[Text | Maps | Table]:
    """layer, head and a score a column, each as a map; and the heads that copy most."""
    matching = {f"matching_{each}": f"Tokens attend to themselves, Δ = {each}" for each in offsets}
    shares: dict[str, Any] = {"low": 0, "high": 1, "scale": "sequential"}
    scores: dict[str, Any] = {"low": -1, "high": 1}
    blocks = [
        heatmap(
            title,
            frame[name].to_numpy().reshape(config.n_layers, config.n_heads),
            **(shares if name.startswith("accuracy") else scores),
        )
        for name, title in {**_TITLES, **matching}.items()
        if name in frame
    ]
    rotary = (
        f"Queries and keys are rotated, so a QK circuit belongs to a distance, here Δ = "
        f"{', '.join(map(str, offsets))}; composition is at Δ = {offsets[0]}."
        if config.positions == "rotary"
        else "Positions do not enter the QK circuit's weights, so there is no Δ."
    )
    ranked = frame.sort_values("copying_embedding", ascending=False, kind="stable").head(30)
    table = Table("copying", ranked, title="The heads that copy most", first_rows=12)
    return [Text(rotary), Maps(blocks), table]


def pairs(composed: Mapping[str, Compositions]) -> pd.DataFrame:
    """kind, from_layer, from_head, layer, head, score: the strongest pairs of every kind."""
    rows = [
        [kind, one.layer, one.index, other.layer, other.index, score]
        for kind, found in composed.items()
        for one, other, score in found.pairs(_PAIRS)
    ]
    columns = ["kind", "from_layer", "from_head", "layer", "head", "score"]
    return pd.DataFrame(rows, columns=columns).sort_values("score", ascending=False, kind="stable")


def composition(
    composed: Mapping[str, Compositions], pairs: pd.DataFrame, config: Config
) -> list[Section]:
    """Layers × layers, and the strongest pairs as a graph and as a table; nothing of a model of one layer."""
    if not composed or config.n_layers < 2:
        return []
    labels = [str(each) for each in range(config.n_layers)]
    best = {
        f"{kind}-composition": array(found.scores.nan_to_num(nan=-1).amax((1, 3)))[:-1, 1:]
        for kind, found in composed.items()
    }
    strongest = pairs.groupby("kind", sort=False).head(20)
    return [
        Section(
            "Which head feeds which",
            [
                maps(
                    {kind: np.where(each < 0, np.nan, each) for kind, each in best.items()},
                    ("from layer", "to layer"),
                    note="The strongest pair of heads of each two layers.",
                    scale="sequential",
                    rows=labels[:-1],
                    columns=labels[1:],
                ),
                *graph(pairs),
                Table("pairs", strongest, title="The strongest pairs"),
            ],
            intro="A random rotation of the residual stream between two heads leaves 1/√d_model = "
            f"{config.d_model**-0.5:.3f} on average (root mean square).",
        )
    ]


def strongest(pairs: pd.DataFrame) -> str:
    """What composes most, in words; empty if nothing does."""
    for (one, other), row in zip(ends(pairs.head(1)), pairs.itertuples(), strict=False):
        return f"the strongest composition is {row.kind}: {one} → {other} ({row.score:.2f})"
    return ""


def ends(pairs: pd.DataFrame) -> list[tuple[Head, Head]]:
    """The head that writes and the head that reads, pair by pair."""
    columns = ["from_layer", "from_head", "layer", "head"]
    return [(Head(*row[:2]), Head(*row[2:])) for row in pairs[columns].to_numpy(dtype=int).tolist()]


def graph(pairs: pd.DataFrame) -> list[Graph]:
    """The strongest pairs as a graph, which shows the heads that many others write to or read."""
    some = pairs.head(_EDGES)
    both = ends(some)
    edges = [
        Edge(str(one), str(other), score, kind)
        for (one, other), score, kind in zip(both, some["score"], some["kind"], strict=True)
    ]
    heads = dict.fromkeys(head for pair in both for head in pair)
    nodes = [Node(str(head), head.layer) for head in sorted(heads, key=lambda head: head.layer)]
    title = f"The {len(edges)} strongest compositions of all kinds"
    return [Graph(title, nodes, edges, note="Layers upwards; wide is strong.")] if edges else []


def control(composed: Mapping[str, Compositions]) -> list[Table]:
    """All pairs beside pairs with a random rotation between them, for every kind; no table of no kind."""
    rows = []
    for kind, found in composed.items():
        known, base = array(found.known), array(found.baseline)
        mean = known.mean() if len(known) else np.nan
        numbers = [len(known), mean, len(base), base.mean(), base.max(), found.share_beyond]
        rows.append([kind, *numbers])
    columns = ["kind", "pairs", "mean", "control_pairs", "control_mean", "control_largest"]
    frame = pd.DataFrame(rows, columns=[*columns, "share_beyond"])
    title = "Composition with the residual stream rotated at random"
    return [Table("composition_control", frame, title=title)] if rows else []
