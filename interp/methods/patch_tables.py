"""Patches in grids: every layer at every position, and the tables that their effects make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.components import Head, Slice
from interp.methods.patch import At, Patched, n_heads_at, patch_batch
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import FIRST, PromptBatch, labels
from interp.transformer import Transformer

OF_A_HEAD = ("z", "q", "k", "v", "pattern")


def cells(kind: str, n_layers: int, places: Iterable[str | int]) -> list[At]:
    """A kind of site in every layer, at every one of these positions."""
    places = list(places)
    whole = [Slice(Site(kind, layer)) for layer in range(n_layers)]
    return [At(where, place) for where in whole for place in places]


def recoveries(done: Patched) -> Float[np.ndarray, " component"]:
    """The share of the gap that each patch moves: a ratio of means over prompts."""
    shares: np.ndarray = done.effects.mean(-1) / done.gap.mean()
    return shares


def cell_table(done: Patched, task: Task) -> pd.DataFrame:
    """layer, position, label, effect, recovery; `position` is empty where prompts have the name in
    several places."""
    where = {name: {prompt.positions[name] for prompt in task.kept} for name in labels(task)[1:]}
    where[FIRST] = {0}
    rows = []
    for each in done.patches:
        cell = each.columns()
        found = where[cell["label"]]
        rows.append((cell["layer"], min(found) if len(found) == 1 else pd.NA, cell["label"]))
    frame = pd.DataFrame(rows, columns=["layer", "position", "label"]).astype({"position": "Int64"})
    return frame.assign(effect=done.effects.mean(-1), recovery=recoveries(done))


def template_table(
    model: Transformer, batch: PromptBatch, kinds: Sequence[str]
) -> tuple[list[str], pd.DataFrame]:
    """The tokens of the first prompt of one template, and site, template, layer, position, label,
    effect and recovery of denoising, for every position and not only the named ones."""
    tokens, layers = model.to_str_tokens(batch.clean[0]), model.config.n_layers
    patches = [cell for kind in kinds for cell in cells(kind, layers, range(len(tokens)))]
    base, source, *effect = patch_batch(model, batch, patches, "denoise").mean(-1).tolist()
    frame = pd.DataFrame(
        {
            "site": [each.columns()["site"] for each in patches],
            "template": batch.prompts[0].template,
            "layer": [each.columns()["layer"] for each in patches],
            "position": [each.position for each in patches],
            "label": tokens * layers * len(kinds),
            "effect": effect,
        }
    )
    return tokens, frame.assign(recovery=frame["effect"] / (source - base))


def inside(model: Transformer, heads: Sequence[Head]) -> list[Slice]:
    """For each head its z, q, k, v and pattern. k and v are those of its key/value head."""
    return [
        Slice(Site(kind, head.layer), heads=(_index(model, head, kind),))
        for head in heads
        for kind in OF_A_HEAD
    ]


def _index(model: Transformer, head: Head, kind: str) -> int:
    return head.index * n_heads_at(model, kind) // model.config.n_heads
