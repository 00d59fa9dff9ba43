"""What happens inside: who writes the vector that is read, who attends across, what scores are made of."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from interp import stats
from interp.classifiers import disentangled
from interp.classifiers.opened import Opened, part_names
from interp.effects import Effects
from interp.report import Attention, Chart, Check, Section, Series, Table
from interp.views.pairs.evidence import SHOWN, Evidence, allowed
from interp.views.pictures import array, maps

TOLERANCE = 1e-4
_WRITTEN = {"embed": "the embeddings", "head": "heads", "mlp": "MLPs"}
# So many heads' patterns are drawn, on so many pairs.
_HEADS, _PAIRS = 6, 3


def parts(opened: Opened, top: int) -> Evidence:
    """The components of the vector that is read: their shares of it, and what each does directly."""
    found = opened.parts()
    names = part_names(found[0].names)
    shares = Effects(
        array(torch.stack([each.shares for each in found], -1)),
        found[0].names,
        opened.pairs,
        "share of ‖v‖²",
        named=names,
    )
    direct = array(torch.stack([each.direct for each in found], -1).mean(-1))
    frame = opened.estimates(shares, "share").assign(direct_effect=direct)
    kinds = frame.groupby("kind", sort=False)["share"].sum().reset_index()
    pairs = [f"pair {number}" for number in range(1, len(found) + 1)]
    by_pair = [
        Series(kind, pairs, shares.values[(names["kind"] == kind).to_numpy()].sum(0))
        for kind in kinds["kind"]
    ]
    most = kinds.iloc[int(kinds["share"].argmax())]
    of_heads, total = (names["kind"] == "head").to_numpy(), opened.removed["zero"].mean()
    by_head = {
        "share of the vector": shares.mean()[of_heads],
        "direct effect": direct[of_heads],
        "zero-ablated − direct": total - direct[of_heads],
    }
    share, *apart = ((title, opened.by_layer(each)) for title, each in by_head.items())
    close = allowed(opened, TOLERANCE, max(each.scale for each in found), len(names))
    added, frozen = max(each.error for each in found), max(each.frozen for each in found)
    return Evidence(
        Section(
            "What is written to the vector that is read",
            [
                Table("kinds", kinds, title="Shares of the vector, by kind"),
                Chart("Shares of the vector, pair by pair", "stacked", by_pair, "", "share"),
                maps(dict([share]), unit=shares.unit),
                maps(dict(apart), unit=opened.unit),
                Chart(
                    "Direct and total effect of every head",
                    "scatter",
                    [Series("heads", direct[of_heads], total)],
                    f"taken out of the vector alone, {opened.unit}",
                    f"zero-ablated, {opened.unit}",
                    note="On the diagonal a head acts through the vector alone; off it, through what "
                    "later heads and MLPs make of what it writes.",
                ),
                Table("parts", frame, title="Every part", first_rows=SHOWN),
            ],
            intro="A share is the part's contribution along the vector, over the vector's squared length; "
            "shares sum to 1. A direct effect runs pooler and classifier as they are on the vector "
            "without the part; they are not linear, so direct effects need not add up.",
        ),
        f"Of the vector that is read, {most['share']:.0%} is written by "
        f"{_WRITTEN.get(most['kind'], most['kind'])}.",
        checks=[
            Check("sum of the parts − the vector, largest", added, close),
            Check("all parts frozen − the model's own run", frozen, close),
        ],
    )


def across(opened: Opened, top: int) -> Evidence:
    """Which heads attend from one sentence to the other."""
    shares, chance = opened.across()
    n_layers, n_heads, *_ = opened.patterns[0].shape
    frame = opened.estimates(shares, "share").sort_values("share", ascending=False)
    rows, which, beside = _strongest(opened, shares)
    heads = [shares.components[row] for row in rows]
    some = list(zip(opened.patterns, opened.readings, strict=True))[:_PAIRS]
    first, largest = shares.components[int(frame.index[0])], float(frame["share"].iloc[0])
    rounding = allowed(opened, TOLERANCE, n_terms=max(each.shape[-1] for each in opened.patterns))
    error = max(float((pattern.sum(-1) - 1).abs().max()) for pattern in opened.patterns)
    return Evidence(
        Section(
            "Attention between the sentences",
            [
                maps(
                    {"to the other sentence": shares.mean().reshape(n_layers, n_heads)},
                    unit=shares.unit,
                    note=f"A head that attends evenly to all that it can see pays {chance:.2f}.",
                    scale="sequential",
                ),
                Attention(
                    f"The heads that {which}, on the first pairs",
                    [reading.strings for _, reading in some],
                    [
                        np.stack([array(pattern[each.layer, each.index]) for each in heads])
                        for pattern, _ in some
                    ],
                    [(each.layer, each.index) for each in heads],
                ),
                Table(
                    "across", frame, "Every head, the one that attends across most first", "", SHOWN
                ),
            ],
            intro="The share of attention that the tokens of one sentence pay to those of the other. "
            f"What a head attends to is not what it does: {beside}.",
        ),
        f"{first} attends from sentence to sentence most ({largest:.0%}; evenly: {chance:.0%}).",
        checks=[Check("rows of the patterns − 1, largest", error, rounding)],
    )


def _strongest(opened: Opened, shares: Effects) -> tuple[Sequence[int], str, str]:
    """The rows of the heads that count most when removed, what they do, and how that goes with what they
    attend to; of those that attend across most, where heads cannot be removed."""
    try:
        sizes = np.abs(opened.removed["mean"].mean())
    except Exception:  # the evidence on heads says what went wrong
        sizes, which = shares.mean(), "attend across most"
        beside = "what these heads do is not known, since they were not removed"
    else:
        rank, which = stats.rank_correlation(shares.mean(), sizes), "count most"
        beside = f"the rank correlation with the size of its effect is {rank:.2f}"
    return np.argsort(-sizes, kind="stable")[:_HEADS].tolist(), which, beside


def terms(opened: Opened, top: int) -> Evidence:
    """A DeBERTa's scores, term by term."""
    shares, error, largest = opened.terms()
    without = {term: opened.without_term(term) for term in disentangled.TERMS}
    frame = pd.concat(
        [opened.estimates(everywhere) for _, everywhere in without.values()], ignore_index=True
    )
    frame.insert(1, "share", [each.mean() for each in shares])
    most = frame.iloc[int(frame["effect"].abs().argmax())]
    series = [
        Series(term, range(len(layers)), layers.mean()) for term, (layers, _) in without.items()
    ]
    title, unit = "Each term, taken out of one layer", "share of the scores"
    rounding = allowed(opened, TOLERANCE, largest)
    return Evidence(
        Section(
            "The terms of the scores",
            [
                Table("terms", frame, title="Each term, taken out of every layer"),
                maps(dict(zip(disentangled.TERMS, shares, strict=True)), unit=unit),
                Chart(title, "line", series, "layer", f"{opened.unit} added"),
            ],
            intro="c2c: content to content; c2p: content to position; p2c: position to content. A share is "
            "the term along the sum of all three, every row's mean taken off, over that sum's squared "
            "length; shares sum to 1. Softmax does not see a row's mean, so that taking a term out is "
            "putting its mean.",
        ),
        f"With {most['term']} taken out of every layer the {opened.unit} moves by {most['effect']:+.2f}.",
        checks=[Check("sum of the terms − the model's scores, largest", error, rounding)],
    )
