"""Patches in grids: every layer at every position, and the tables that their effects make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.methods.batches import Batch
from interp.methods.patch import FIRST, Patch, Patched, labels, n_heads_at, patch_batch
from interp.sites import Site
from interp.tasks import Task
from interp.transformer import Transformer

OF_A_HEAD = ("z", "q", "k", "v", "pattern")


def cells(kind: str, n_layers: int, places: Iterable[str | int]) -> list[Patch]:
    """A kind of site in every layer, at every one of these positions."""
    places = list(places)
    return [Patch(Site(kind, layer), at=place) for layer in range(n_layers) for place in places]


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
        assert isinstance(each.at, str)
        found = where[each.at]
        rows.append((each.site.layer, min(found) if len(found) == 1 else pd.NA, each.at))
    frame = pd.DataFrame(rows, columns=["layer", "position", "label"]).astype({"position": "Int64"})
    return frame.assign(effect=done.effects.mean(-1), recovery=recoveries(done))


def template_table(
    model: Transformer, batch: Batch, kinds: Sequence[str]
) -> tuple[list[str], pd.DataFrame]:
    """The tokens of the first prompt of one template, and site, template, layer, position, label,
    effect and recovery of denoising, for every position and not only the named ones."""
    tokens, layers = model.to_str_tokens(batch.clean[0]), model.config.n_layers
    patches = [cell for kind in kinds for cell in cells(kind, layers, range(len(tokens)))]
    base, source, *effect = patch_batch(model, batch, patches, "denoise").mean(-1).tolist()
    frame = pd.DataFrame(
        {
            "site": [each.site.kind for each in patches],
            "template": batch.prompts[0].template,
            "layer": [each.site.layer for each in patches],
            "position": [each.at for each in patches],
            "label": tokens * layers * len(kinds),
            "effect": effect,
        }
    )
    return tokens, frame.assign(recovery=frame["effect"] / (source - base))


def inside(model: Transformer, heads: Sequence[Patch]) -> list[Patch]:
    """For each head (a patch of its z): its z, q, k, v and pattern, at all positions. k and v are those
    of its key/value head."""
    return [
        Patch(Site(kind, each.site.layer), _index(model, each, kind))
        for each in heads
        for kind in OF_A_HEAD
    ]


def _index(model: Transformer, each: Patch, kind: str) -> int:
    assert each.head is not None
    return each.head * n_heads_at(model, kind) // model.config.n_heads
