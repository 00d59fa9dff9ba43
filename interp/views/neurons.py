"""Neurons as a report shows them: what they push by layer, and where they are active in a text."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from interp.components import Neuron
from interp.effects import Effects
from interp.methods import neurons
from interp.report import Chart, Series, TokenStrip
from interp.transformer import Transformer


def pushes(effect: Effects, n_layers: int) -> Chart:
    """What the neurons of each layer add up to, those that push up apart from those that push down."""
    means = effect.mean().reshape(n_layers, -1)
    up = np.where(means > 0, means, 0).sum(-1)
    depth = [f"L{layer}" for layer in range(n_layers)]
    sides = {"those that push up": up, "those that push down": means.sum(-1) - up}
    series = [Series(name, depth, each) for name, each in sides.items()]
    title = "Neurons of each layer, mean over prompts"
    return Chart(title, "stacked", series, "layer", effect.unit)


def strips(
    model: Transformer, texts: Mapping[str, Sequence[Sequence[int]]], reads: pd.DataFrame
) -> list[TokenStrip]:
    """The text in which the first neuron of `reads` is most active, one of each collection; the first
    position is left out, since many neurons of sinks are loud there whatever the text."""
    first = Neuron(*reads[["layer", "neuron"]].iloc[0])
    mine = reads[(reads["layer"] == first.layer) & (reads["neuron"] == first.index)]
    shown = []
    for name, example in mine.loc[mine["rank"] == 1, ["text", "example"]].to_numpy():
        ids = list(texts[name][example])
        active = neurons.along(model, ids, first)
        active[0] = np.nan
        title = f"{first} on the text of its peak ({name})"
        words = model.to_str_tokens(torch.tensor(ids))
        shown.append(TokenStrip(words, active, title=title, unit="activation"))
    return shown
