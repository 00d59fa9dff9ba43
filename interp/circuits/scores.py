"""A score for every edge from one backward pass, or from a few: what removing the edge would do if the model
were linear.

Method  Edge attribution patching (`eap`): what the writer would write in place of what it writes, times the
        slope of the metric at the reader's private copy of the residual stream, added up over positions and
        dimensions. The slope is the mean of those at points on the straight line between the embeddings of
        the corrupted prompt and of the clean one: at the clean one alone, at `steps` points (integrated
        gradients), or at both ends (`clean_corrupted`).
Units   The metric's unit, removed minus clean; negative: the edge helps. `[batch reader writer]` or, with
        places, `[batch reader writer place]`, which adds up to that; NaN where rules give no score.
Source  Nanda 2023, Attribution Patching; Syed et al. 2023, Attribution Patching Outperforms Automated Circuit
        Discovery, arXiv:2310.10348; Hanna et al. 2024, Have Faith in Faithfulness, arXiv:2403.17806 (EAP-IG,
        at 1/m … m/m; versions of its code have 0/m … (m - 1)/m), and its code (clean-corrupted).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from interp import edits, sites
from interp.circuits.graph import Graph, readers_of
from interp.circuits.places import Places
from interp.circuits.written import Written, kept_for, written
from interp.errors import UsageError
from interp.linear import TRUE, AtReaders, Input, Rules, slopes
from interp.methods.measured import Measure
from interp.metrics import logit_difference
from interp.tasks.batches import PromptBatch
from interp.transformer import Transformer
from interp.transformer.contract import einsum

PerPrompt = Float[Tensor, "batch reader writer *place"]
Within = Float[Tensor, "batch pos place"]
# So many readers are multiplied with all writers at once: of fewer, writers are read too often.
_READERS = 64


@dataclass(frozen=True)
class Scores:
    """Every edge's score on every prompt of a batch, and the metric of the runs that slopes were taken at,
    mean over these."""

    each: PerPrompt
    metric: Float[Tensor, " batch"]

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """Of several batches, the prompts of one after those of the other."""
        each = torch.cat([part.each for part in parts])
        return cls(each, torch.cat([part.metric for part in parts]))

    def of_nodes(self) -> Float[Tensor, "batch writer"]:
        """Node attribution patching: what ablating each writer would do if the model were linear, which is
        the sum over the edges out of it."""
        return self.each.nansum(1)


def eap(
    model: Transformer,
    graph: Graph,
    batch: PromptBatch,
    ablated: Written,
    *,
    metric: Measure = logit_difference,
    rules: Rules = TRUE,
    steps: int = 0,
    places: Places | None = None,
) -> Scores:
    """The score of every edge. With `steps` slopes are integrated over so many points between corrupted and
    clean embeddings. With `places`, by default those of the graph, it has one in each.

    Raises  UsageError for a metric without a slope at these points, for a negative number of steps, and for
            prompts of another length than their corrupted ones.

    >>> from interp.circuits.written import ablation_values
    >>> prompts, graph = tasks.batches.by_length(task)[0], Graph.of(model)
    >>> other = ablation_values(model, graph, task, prompts, "resample")
    >>> eap(model, graph, prompts, other).each.shape[1:]
    torch.Size([40, 16])
    """
    if steps < 0:
        raise UsageError(f"steps are 0 (at the clean run alone) or more, got {steps}")
    points = [step / steps for step in range(steps, 0, -1)] or [1.0]
    if places is not None:
        graph = graph.at_places(places)
    return scored_at(model, graph, batch, ablated, points, metric, rules)


def clean_corrupted(
    model: Transformer,
    graph: Graph,
    batch: PromptBatch,
    ablated: Written,
    *,
    metric: Measure = logit_difference,
    rules: Rules = TRUE,
) -> Scores:
    """The score of every edge with the mean of the slopes at the clean and at the corrupted prompt.

    Raises  UsageError as `eap` does.
    """
    return scored_at(model, graph, batch, ablated, [1.0, 0.0], metric, rules)


@torch.no_grad()
def scored_at(
    model: Transformer,
    graph: Graph,
    batch: PromptBatch,
    ablated: Written,
    points: Sequence[float],
    metric: Measure,
    rules: Rules,
) -> Scores:
    """The scores with the mean of slopes at these points between the corrupted (0) and the clean embeddings
    (1, which comes first)."""
    if batch.clean.shape != batch.corrupted.shape:
        raise UsageError(
            f"clean and corrupted prompts must be of one length, got {list(batch.clean.shape)} and "
            f"{list(batch.corrupted.shape)}"
        )
    measure = metric(batch)
    run = slopes(model, batch.clean, measure, rules=rules, keep=kept_for(model, graph))
    base, delta = run.logits, ablated - written(model, graph, run.kept)
    values, flat, readers = run.metric, run.flat, run.at_readers()
    if points[1:]:
        # What is added up is multiplied once.
        sums = {(kind, layer): slope for kind, layer, slope in readers}
        for point in points[1:]:
            moved = edits.put(sites.embed(), between(model, batch, point))
            run = slopes(model, batch.clean, measure, base, [moved], rules)
            values, flat = values + run.metric, flat and run.flat
            for kind, layer, slope in run.at_readers():
                sums[kind, layer] += slope
        readers = ((*reader, slope) for reader, slope in sums.items())
    if flat:
        raise no_slope(measure.name)
    total, within = empty_scores(graph, delta, rules), places_of(graph, batch, delta)
    add_scores(total, graph, readers, delta, 1 / len(points), within=within)
    return Scores(total, values / len(points))


def places_of(graph: Graph, batch: PromptBatch, like: Tensor) -> Within | None:
    """1 at the positions of each place of each prompt; None where places are not told apart."""
    if graph.places is None:
        return None
    return one_hot(graph.places.of(batch), len(graph.places)).to(like)


def no_slope(name: str) -> UsageError:
    """What is said of a metric that has no slope where it was looked for."""
    return UsageError(
        f"the {name} has no slope at this run, so that every first-order score is zero; use the logit "
        "difference or the log-probability of the answer, integrated gradients (eap-ig), or exact effects"
    )


def between(
    model: Transformer, batch: PromptBatch, point: float
) -> Float[Tensor, "batch pos d_model"]:
    """Embeddings on the way from those of the corrupted prompts (0) to those of the clean ones (1)."""
    return torch.lerp(model.embed(batch.corrupted), model.embed(batch.clean), point)


def empty_scores(graph: Graph, delta: Written, rules: Rules) -> PerPrompt:
    """Zeros, NaN for the readers that have no scores by these rules."""
    total = delta.new_zeros(delta.shape[1], *graph.allowed.shape)
    if not rules.scores_queries:
        unscored = [row for row, each in enumerate(graph.readers) if each.input in ("q", "k")]
        total[:, unscored] = torch.nan
    return total


def add_scores(
    total: PerPrompt,
    graph: Graph,
    readers: Iterable[tuple[Input, int | None, AtReaders]],
    delta: Written,
    weight: float,
    writers: Sequence[int] | None = None,
    *,
    within: Within | None = None,
) -> None:
    """Adds to `total`, times `weight`, the changes of some writers (by default of all) times the slopes at
    these readers; with `within`, which is 1 at the positions of a place, in each place."""
    allowed = torch.from_numpy(graph.pairs).to(delta.device)
    columns = torch.tensor(range(len(graph.writers)) if writers is None else [*writers])
    changes = delta if writers is None else delta[columns]
    for rows, at in _together(graph, readers):
        edges = allowed[rows][:, columns]
        # Writers are in the order in which they are computed: the last feed none of these readers.
        before = int(edges.any(0).sum())
        found = _products(at, changes[:before], within)
        each = weight * edges[:, :before].to(found)
        found *= each.view(*each.shape, *[1] * (found.ndim - 3))
        total[:, torch.tensor(rows)[:, None], columns[:before]] += found


def _together(
    graph: Graph, readers: Iterable[tuple[Input, int | None, AtReaders]]
) -> Iterator[tuple[list[int], AtReaders]]:
    """The rows of as many readers as are multiplied at once, and the slopes there."""
    rows: list[int] = []
    held: list[Tensor] = []
    for kind, layer, slope in readers:
        rows += readers_of(graph, layer, [kind])
        held.append(slope)
        if len(rows) != sum(map(len, held)):
            raise UsageError(
                "scores are of keys and values as they are computed, once a key/value head, and of whole "
                "MLPs; a graph with private copies for every query head, or with parts of MLPs, has exact "
                "effects alone"
            )
        if len(rows) >= _READERS:
            yield rows, torch.cat(held)
            rows, held = [], []
    if rows:
        yield rows, torch.cat(held)


def _products(
    at: Float[Tensor, "reader batch pos d_model"], changes: Written, within: Within | None
) -> PerPrompt:
    """Of each prompt, the product over positions and dimensions; over the positions of each place."""
    if within is not None:
        apart = at.permute(1, 2, 0, 3) @ changes.permute(1, 2, 3, 0)
        each = "batch pos reader writer, batch pos place -> batch reader writer place"
        return einsum(each, apart, within)
    return torch.bmm(at.flatten(2).transpose(0, 1), changes.flatten(2).permute(1, 2, 0))
