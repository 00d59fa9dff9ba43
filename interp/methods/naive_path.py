"""One path by whole runs of the model, everything off the path held by an edit: slow and obvious, what
`interp.methods.paths` has to agree with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp import edits, sites
from interp.components import Component
from interp.methods.paths import Paths
from interp.methods.propagation import Mlps, Receiver, needed, query_heads, read_at
from interp.metrics import logit_difference
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, by_length
from interp.transformer import Run, Transformer


@torch.no_grad()
def naive_path(
    model: Transformer,
    batch: PromptBatch,
    sender: Component,
    receiver: Receiver,
    new: Mapping[Any, Tensor],
    mlps: Mlps,
) -> Float[Tensor, " batch"]:
    """The effect of a path to the logits, or to a head's queries, keys or values."""
    config, (written,) = model.config, sender.slices(model)
    writers = [site for site in model.sites if site.kind in ("z", "mlp_out")]
    clean = model.run(batch.clean, keep=writers)
    made = [
        edits.freeze(site, clean.cache)
        for site in writers
        if site == written.site or site.kind == "z" or mlps == "frozen"
    ]
    made.append(edits.patch(written.site, new, heads=written.heads))

    def moved(edited: Run) -> Tensor:
        before, after = (run.logits[:, -1].double() for run in (clean, edited))
        return logit_difference(batch).of(after - before)

    if receiver.input == "logits":
        return moved(model.run(batch.clean, edits=made))
    assert receiver.layer is not None
    read, z = sites.Site(receiver.input, receiver.layer), sites.z(receiver.layer)
    sent = model.run(batch.clean, edits=made, keep=[read]).cache
    heads = query_heads(model, receiver)
    own = heads[0] if receiver.input == "q" else heads[0] // config.group
    given = [edits.patch(read, sent, heads=own)]
    wrote = model.run(batch.clean, edits=given, keep=[z]).cache
    positions = read_at(receiver, batch)
    last = edits.patch(z, wrote, heads=heads, positions=positions)
    return moved(model.run(batch.clean, edits=[last]))


@torch.no_grad()
def worst_error(model: Transformer, task: Task, done: Sequence[Paths], seed: int) -> float:
    """The largest |effect − whole runs with everything else frozen| of a random path of each."""
    random, worst = np.random.default_rng(seed), 0.0
    batch = by_length(task, model.device)[0]
    for each in done:
        if len(possible := each.possible):
            row = int(random.integers(len(possible)))
            sender, receiver = possible.components[row].sender, possible.components[row].receiver
            new = model.run(batch.corrupted, keep=needed(model, [sender])).cache
            naive = (
                naive_path(model, batch, sender, receiver, new, each.mlps).double().cpu().numpy()
            )
            found = possible.values[row, list(batch.indices)]
            worst = max(worst, float(np.abs(naive - found).max()))
    return worst
