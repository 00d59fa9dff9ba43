"""A score for every edge from one backward pass, or from a few: what removing the edge would do if the model
were linear.

Method  Edge attribution patching (`eap`): what the writer would write in place of what it writes, times the
        slope of the metric at the reader's private copy of the residual stream, added up over positions and
        dimensions. With integrated gradients (`eap-ig`) the slope is the mean of those at points on the
        straight line between the embeddings of the corrupted and of the clean prompt.
Units   The metric's unit, removed minus clean; negative: the edge helps. `[batch reader writer]`, NaN where
        rules give no score.
Source  Syed et al. 2023, Attribution Patching Outperforms Automated Circuit Discovery, arXiv:2310.10348;
        Hanna et al. 2024, Have Faith in Faithfulness, arXiv:2403.17806 (EAP-IG, steps 1/m … m/m).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interp import edits, sites
from interp.circuits.graph import Graph, readers_of
from interp.circuits.written import Written, kept_for, written
from interp.errors import UsageError
from interp.linear import TRUE, Rules, slopes
from interp.methods.measured import Measure
from interp.metrics import logit_difference
from interp.tasks.batches import PromptBatch
from interp.transformer import Transformer

PerPrompt = Float[Tensor, "batch reader writer"]


@dataclass(frozen=True)
class Scores:
    """Every edge's score on every prompt of a batch, and the metric of the runs that slopes were taken at,
    mean over these."""

    each: PerPrompt
    metric: Float[Tensor, " batch"]


def eap(
    model: Transformer,
    graph: Graph,
    batch: PromptBatch,
    ablated: Written,
    *,
    metric: Measure = logit_difference,
    rules: Rules = TRUE,
    steps: int = 0,
) -> Scores:
    """The score of every edge. With `steps` slopes are integrated over so many points between corrupted and
    clean embeddings.

    Raises  UsageError for a metric without a slope at the clean run, for a negative number of steps, and for
            prompts of another length than their corrupted ones.

    >>> from interp.circuits.written import ablation_values
    >>> prompts, graph = tasks.batches.by_length(task)[0], Graph.of(model)
    >>> other = ablation_values(model, graph, task, prompts, "resample")
    >>> eap(model, graph, prompts, other).each.shape[1:]
    torch.Size([40, 16])
    """
    if steps < 0:
        raise UsageError(f"steps are 0 (at the clean run alone) or more, got {steps}")
    if batch.clean.shape != batch.corrupted.shape:
        raise UsageError(
            f"clean and corrupted prompts must be of one length, got {list(batch.clean.shape)} and "
            f"{list(batch.corrupted.shape)}"
        )
    with torch.no_grad():
        held = model.run(batch.clean, keep=kept_for(model), logits_at=-1)
        delta = ablated - written(model, graph, held.cache)
        ends = [model.embed(tokens) for tokens in (batch.corrupted, batch.clean)]
    total = delta.new_zeros(len(batch), len(graph.readers), len(graph.writers))
    if not rules.scores_queries:
        unscored = [row for row, each in enumerate(graph.readers) if each.input in ("q", "k")]
        total[:, unscored] = torch.nan
    of_prompt = rearrange(
        delta, "writer batch pos d_model -> batch (pos d_model) writer"
    ).contiguous()
    measure, base = metric(batch), held.logits
    values = delta.new_zeros(len(batch))
    points = [step / steps for step in range(1, steps + 1)] or [1.0]
    for point in points:
        moved = (
            [] if point == 1.0 else [edits.put(sites.embed(), torch.lerp(ends[0], ends[1], point))]
        )
        run = slopes(model, batch.clean, measure, base, moved, rules)
        values += run.metric / len(points)
        with torch.no_grad():
            for kind, layer, slope in run.at_readers():
                rows = readers_of(graph, layer, [kind])
                before = int(graph.allowed[rows[0]].sum())
                at = rearrange(
                    _private(slope, len(rows)),
                    "batch pos reader d_model -> batch reader (pos d_model)",
                )
                scored = torch.bmm(at, of_prompt[:, :, :before]) / len(points)
                total[:, rows, :before] += scored
    return Scores(total, values)


def _private(slope: Tensor, n_readers: int) -> Float[Tensor, "batch pos reader d_model"]:
    """The slopes as the graph's readers have them."""
    if slope.shape[2] != n_readers:
        raise UsageError(
            "scores are of keys and values as they are computed, once a key/value head; a graph with "
            "private copies for every query head has exact effects alone"
        )
    return slope
