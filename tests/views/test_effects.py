"""Effects of heads among others as maps: the heads alone, in their places."""

import numpy as np
import pandas as pd

import interp
from interp import components, tasks
from interp.effects import Effects
from interp.views import effects


def test_of_effects_of_heads_and_mlps_a_map_shows_the_heads():
    model = interp.load("tiny-gpt2")
    task = tasks.build("ioi", model.tokenizer, n=4)
    every = [*components.mlps(model), *components.heads(model)]
    values = np.random.default_rng(0).normal(size=(len(every), task.n))
    named = pd.DataFrame({"part": map(str, every), "layer": [each.layer for each in every]})
    found = Effects(values, every, task, named=named)
    [shown] = effects.maps(effects.of_heads({"after": found})).heatmaps
    assert (shown.title, shown.row_axis, shown.column_axis) == ("after", "layer", "head")
    by_hand = values[model.config.n_layers :].mean(-1).reshape(model.config.n_layers, -1)
    np.testing.assert_allclose(shown.values, by_hand)
