"""Patches of cells, layers by positions, from one corruption of the prompts or several, as a report shows
them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from interp import stats
from interp.components import Head
from interp.effects import Test
from interp.methods.patch import Patched, worst_error
from interp.methods.patch_tables import cell_table
from interp.report import (
    Block,
    Chart,
    Check,
    Headline,
    Heatmap,
    Maps,
    Series,
    Table,
    Text,
    TokenStrip,
)
from interp.tasks import Task
from interp.tasks.base import task_of
from interp.transformer import Transformer
from interp.views import chosen, effects, estimates, pictures, tolerance

RECOVERY = "recovery: 1 means that this one activation brings all of the gap back."
INSIDE = (
    "recovery on the held-out half. q: the head asks for the right thing; k: it is found in the right place; "
    "v: what is there; pattern: q and k together."
)


def maps(done: Mapping[str, Patched], note: str = "", columns: Sequence[str] = ()) -> Maps:
    """The share of the gap that each cell moves, a map of layer by position for each name; `columns`
    says what positions are called, where not by their labels."""
    shown = []
    for title, each in done.items():
        names = list(columns) or _positions(each)
        values = each.recovery.reshape(-1, len(names))
        shown.append(Heatmap(title or "all prompts", values, "layer", "position", columns=names))
    return Maps(shown, note=note)


def positions(done: Mapping[str, Patched], seed: int = 0) -> Table:
    """positions.csv: every cell of every kind of site, p corrected within a kind."""
    frames = [each.frame(seed) for each in done.values()]
    first = next(iter(done.values())).effects
    note = effects.p_note(first.task, len(first))
    return Table("positions", pd.concat(frames, ignore_index=True), title="Every cell", note=note)


def noising(restored: Mapping[str, Patched], removed: Mapping[str, Patched]) -> list[Maps | Table]:
    """The same cells, corrupted activations in the clean run: how alike they rank, and a table a kind."""
    shown = {kind: each for kind, each in removed.items() if kind in restored}
    note = (
        "Share of the gap that one corrupted activation removes from the clean run. Rank correlation "
        f"with denoising: {agreement(restored, shown)}."
    )
    tables = {kind: cell_table(each) for kind, each in shown.items()}
    return [
        maps({f"{kind}, noising": each for kind, each in shown.items()}, note),
        *(
            Table(f"{kind}_noising", frame.rename(columns={"recovery": "removed"}))
            for kind, frame in tables.items()
        ),
    ]


def heads(test: Test, restored: Patched, removed: Patched | None = None) -> list[Block]:
    """Every head's z at all positions, restored and removed; the chosen ones with the share they recover."""
    strongest, seed = test.selection, test.seed
    there = restored.where(strongest.held_out).only(strongest.rows).frame(seed)["recovery"]
    title = "Restored z, prompt by prompt"
    best = chosen.blocks(test, "top_heads", {"z": restored.effects}, title, recovery=there)
    n_layers = restored.effects.names["layer"].nunique()
    shown = [effects.head_map("recovery by z", restored.recovery, n_layers)]
    every = effects.every(restored.effects, "heads", "Every head, z at all positions", seed=seed)
    tables = [replace(every, frame=every.frame.assign(recovery=restored.recovery))]
    if removed is not None:
        shown.append(effects.head_map("removed by z, noising", removed.recovery, n_layers))
        frame = removed.effects.frame(seed).assign(removed=removed.recovery)
        tables.append(Table("heads_noising", frame, title="Every head, noising"))
    return [Maps(shown), *best, *tables]


def checks(
    model: Transformer, done: Mapping[str, Patched], whole: Patched, seed: int
) -> list[Check]:
    """That sweeps equal whole forward passes, and that all of the stream restored recovers everything."""
    task = task_of(whole.effects.task)
    worst = max(worst_error(model, task, each, "denoise", seed) for each in done.values())
    left = float(np.abs(whole.effects.values[0] - whole.gap).max())
    name = "sweep and whole forward pass, random patches, logits"
    return [
        tolerance.at_logits(name, worst, model, task),
        tolerance.at_logits("whole stream restored − clean, logits", left, model, task),
        effects.splits(task),
    ]


def arrives(stream: Patched) -> str:
    """From which layer on the last position holds half of what there is to recover, in words."""
    share = stream.recovery.reshape(-1, len(_positions(stream)))[:, -1]
    over_half = np.flatnonzero(share >= 0.5)
    return f"from layer {over_half[0]} on" if len(over_half) else "only after the last layer"


def gap(done: Patched, seed: int = 0) -> Headline:
    """What there is to recover."""
    task = done.effects.task
    found = stats.mean(done.gap, task.clusters, task.items, seed=seed)
    return estimates.headline("clean − corrupted", found, done.effects.unit)


def in_heads(done: Mapping[str, Patched], group: int) -> list[Maps | Table]:
    """What of the chosen heads carries it and where (`patch_tables.in_heads`); k, v are of so many heads."""
    titles = {"site": "by site, all positions", "label": "z by named position"}
    files = {"site": "heads_by_site", "label": "heads_by_position"}
    shown, tables = [], []
    for axis, each in done.items():
        names = each.effects.names
        columns = list(dict.fromkeys(names[axis]))
        grid = each.recovery.reshape(-1, len(columns))
        chosen = names[["layer", "head"]].to_numpy()[:: len(columns)].tolist()
        rows = [str(Head(*numbers)) for numbers in chosen]
        shown.append(Heatmap(titles[axis], grid, "chosen head", axis, rows=rows, columns=columns))
        tables.append(Table(files[axis], names.assign(recovery=each.recovery)))
    shared = f" k and v are shared by {group} heads, all of which get them." if group > 1 else ""
    return [Maps(shown, note=f"{INSIDE}{shared}"), *tables]


def at_last(done: Mapping[str, Patched], title: str) -> Chart:
    """The share of the gap that the cells of the last position move, layer by layer."""
    series = []
    for name, each in done.items():
        share = each.recovery.reshape(-1, len(_positions(each)))[:, -1]
        series.append(Series(name or "all prompts", range(len(share)), share))
    return Chart(title, "line", series, "layer", "recovery")


def agreement(done: Mapping[str, Patched], others: Mapping[str, Patched]) -> str:
    """How alike the cells of each name rank in both, in words."""
    return ", ".join(
        f"{stats.rank_correlation(done[name].recovery, each.recovery):.2f} at {name}"
        for name, each in others.items()
    )


def _positions(done: Patched) -> list[str]:
    return list(dict.fromkeys(map(str, done.effects.names["label"])))


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
    """label (position), signal (corruption), layer and effect of the residual stream, layer by layer."""
    rows = [
        (label, name, layer, effect)
        for label in next(iter(done.values()))
        for name, places in done.items()
        for layer, effect in enumerate(places[label].effects.mean())
    ]
    frame = pd.DataFrame(rows, columns=["label", "signal", "layer", "effect"])
    shown = [
        pictures.grouped(
            f"The stream at {label}", some, "signal", ("layer", "effect"), ("layer", "logits")
        )
        for label, some in frame.groupby("label", sort=False)
    ]
    return [*shown, Table("stream", frame)]
