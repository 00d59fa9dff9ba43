"""The same prompts under several corruptions of theirs, and what patching from each does, as a page shows
them."""

from collections.abc import Mapping

import pandas as pd
import torch

from interp import stats
from interp.methods.patch import Patched
from interp.report import Chart, Table, Text, TokenStrip
from interp.tasks import Task
from interp.transformer import Transformer
from interp.views import charts, estimates

_WORDS = {2: "two", 3: "three", 4: "four"}


def forms(model: Transformer, tasks: Mapping[str, Task]) -> list[Text | TokenStrip]:
    """One prompt as it is, and as each corruption makes it."""
    last = list(tasks.values())[-1]
    first = last.kept[0]
    words = {"clean": first.clean_tokens}
    words |= {f"{name} turned round": each.kept[0].corrupted_tokens for name, each in tasks.items()}
    strips = [
        TokenStrip(model.to_str_tokens(torch.tensor(tokens)), title=title.capitalize())
        for title, tokens in words.items()
    ]
    said = (
        f"**{last.n} prompts**, each in {_WORDS[len(words)]} forms. The answer here is {first.answer!r}, "
        f"not {first.wrong!r}."
    )
    return [Text(said), *strips]


def whole_prompts(done: Mapping[str, Patched], seed: int = 0) -> Table:
    """What the model says to the clean prompts, and to those of each corruption."""
    last = list(done.values())[-1]
    runs = {"clean": last.base, **{name: each.source for name, each in done.items()}}
    clusters = last.effects.task.clusters
    found = {name: stats.mean(each, clusters, seed=seed) for name, each in runs.items()}
    frame = estimates.frame(found, ["turned round"], "logit_difference")
    return Table("prompts_whole", frame, title="What the model says")


def stream(done: Mapping[str, Mapping[str, Patched]]) -> list[Chart | Table]:
    """label, signal, layer and effect of the residual stream at each position (label), patched layer by
    layer from each corruption (signal)."""
    rows = [
        (label, name, layer, effect)
        for label in next(iter(done.values()))
        for name, places in done.items()
        for layer, effect in enumerate(places[label].effects.mean())
    ]
    frame = pd.DataFrame(rows, columns=["label", "signal", "layer", "effect"])
    shown = [
        charts.grouped(
            f"The stream at {label}", some, "signal", ("layer", "effect"), ("layer", "logits")
        )
        for label, some in frame.groupby("label", sort=False)
    ]
    return [*shown, Table("stream", frame)]
