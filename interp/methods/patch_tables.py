"""Patches in grids: every layer at every position, and the tables that their effects make."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from interp.components import Head, Slice
from interp.methods.patch import At, Patched, n_heads_at, patch_groups
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.base import task_of
from interp.tasks.batches import FIRST, aligned, labels
from interp.transformer import Transformer

OF_A_HEAD = ("z", "q", "k", "v", "pattern")


def stream_kinds(model: Transformer) -> list[str]:
    """The kinds of site on the residual stream, and of what is written to it, that this model has."""
    kinds = ("resid_pre", "resid_mid", "attn_out", "mlp_out")
    return [kind for kind in kinds if Site(kind, 0) in model.sites]


def cells(kind: str, n_layers: int, places: Iterable[str | int]) -> list[At]:
    """A kind of site in every layer, at every one of these positions."""
    places = list(places)
    whole = [Slice(Site(kind, layer)) for layer in range(n_layers)]
    return [At(where, place) for where in whole for place in places]


def cell_table(done: Patched) -> pd.DataFrame:
    """layer, position (empty where prompts have the label in several places), label, effect, recovery."""
    effects, kept = done.effects, done.effects.task.kept
    where = {FIRST: {0}} | {
        name: {prompt.positions[name] for prompt in kept}
        for name in labels(task_of(effects.task))[1:]
    }
    frame = effects.names[["layer", "label"]]
    numbers = [min(where[name]) if len(where[name]) == 1 else pd.NA for name in frame["label"]]
    frame.insert(1, "position", pd.Series(numbers, dtype="Int64"))
    return frame.assign(effect=effects.mean(), recovery=done.recovery)


def template_table(done: Mapping[str, Patched], tokens: Sequence[str]) -> pd.DataFrame:
    """site, template, layer, position, label (the first prompt's token), effect, recovery of one template."""
    frames = []
    for each in done.values():
        frame = each.effects.names.rename(columns={"label": "position"})
        frame.insert(1, "template", each.effects.task.kept[0].template)
        frame["label"] = [tokens[position] for position in frame["position"]]
        frames.append(frame.assign(effect=each.effects.mean(), recovery=each.recovery))
    return pd.concat(frames, ignore_index=True)


def of_one_template(model: Transformer, task: Task) -> tuple[list[str], dict[str, Patched]]:
    """The tokens of the first prompt, and the cells of every layer and position, not only the named ones, of
    the prompts that align with it. resid_mid, which lies between resid_pre of two layers, is left out."""
    batch = aligned(task, model.device)[0]
    one = task.only(np.isin(np.arange(task.n), batch.indices))
    tokens = model.to_str_tokens(batch.clean[0])
    kinds = [kind for kind in stream_kinds(model) if kind != "resid_mid"]
    every = {kind: cells(kind, model.config.n_layers, range(len(tokens))) for kind in kinds}
    return tokens, patch_groups(model, one, every)


def in_heads(model: Transformer, task: Task, heads: Sequence[Head]) -> dict[str, Patched]:
    """What of each head carries it (`site`: its z, q, k, v and pattern at all positions; k and v are those
    of its key/value head), and where (`label`: its z at each named position)."""
    columns, n_heads = {"site": list(OF_A_HEAD), "label": labels(task)}, model.config.n_heads
    inside = [
        # Keys and values are those of the head's group.
        Slice(Site(kind, head.layer), heads=(head.index * n_heads_at(model, kind) // n_heads,))
        for head in heads
        for kind in OF_A_HEAD
    ]
    placed = [At(head, place) for head in heads for place in columns["label"]]
    found = {}
    for axis, done in patch_groups(model, task, {"site": inside, "label": placed}).items():
        rows = [head.columns() | {axis: name} for head in heads for name in columns[axis]]
        found[axis] = replace(done, effects=replace(done.effects, named=pd.DataFrame(rows)))
    return found
