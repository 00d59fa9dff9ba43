"""From scores to circuits: how many of the strongest edges are enough where they were scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float

from interp.circuits.curve import Ranking
from interp.circuits.evaluate import Evaluation, evaluate
from interp.circuits.graph import Edge, Graph, Mask, top
from interp.circuits.methods import MEMORY, METHODS, Method
from interp.circuits.run import BLOCK
from interp.effects import Effects
from interp.errors import NotApplicable, UsageError, brief
from interp.linear import TRUE, Rules
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import AnswerLogProb, logit_difference
from interp.stats import cluster_means
from interp.tasks import Task
from interp.tasks.batches import by_length, gathered
from interp.transformer import Transformer

FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# Of a run that has to be short.
FEW = (0.002, 0.005, 0.01, 0.05, 0.2)


def first_order(metric: str) -> Measure:
    """The metric of this name (logit_difference, answer_log_prob), which edges are scored by.

    Raises  UsageError for kl, which has no slope where nothing is removed, and for another name.
    """
    if metric == "kl":
        raise UsageError(
            "the kl from the whole model has no slope where nothing is removed yet, so that first-order "
            "scores of it are zero: score by logit_difference or answer_log_prob; the kl of every circuit "
            "is on the page all the same"
        )
    known: dict[str, Measure] = {
        "logit_difference": logit_difference,
        "answer_log_prob": lambda batch: AnswerLogProb(batch.answer),
    }
    if metric not in known:
        raise UsageError(f"edges are scored by {', '.join(known)}, got {brief(metric)}")
    return known[metric]


def edge_scores(
    model: Transformer,
    graph: Graph,
    task: Task,
    ablation: Named = "resample",
    *,
    method: Method | None = None,
    metric: Measure = logit_difference,
    rules: Rules = TRUE,
    steps: int = 0,
    memory: int = MEMORY,
    only: Mask | None = None,
) -> Effects:
    """The score of every edge that has one (of those in `only`), on every kept prompt: by a method of
    `interp.circuits.methods`, or by edge attribution patching with these rules, integrated if there are
    steps.

    Raises  UsageError as the method does.
    """
    if method is None:
        method = replace(METHODS["eap-ig" if steps else "eap"], rules=rules)
    mask = graph.allowed.copy() if only is None else graph.allowed & only
    if not method.scores_queries:
        mask[[each.input in ("q", "k") for each in graph.readers]] = False
    cells = torch.from_numpy(mask).to(model.device)
    found, unit = [], "logits"
    for batch in by_length(task, model.device):
        scores = method(
            *(model, graph, task, batch, ablation), metric=metric, steps=steps, memory=memory
        )
        unit = metric(batch).unit
        found.append((batch, scores.each[:, cells].T))
    return Effects(gathered(task, found), graph.edges(mask), task, unit)


def mean_scores(graph: Graph, scores: Effects) -> Float[np.ndarray, "reader writer *place"]:
    """The mean of templates' means of every edge; NaN for edges without a score, 0 where there is no edge."""
    each = cluster_means(scores.values, scores.task.clusters).mean(-1)
    return in_graph(graph, scores.components)(each)


def in_graph(
    graph: Graph, edges: Sequence[Edge]
) -> Callable[[Float[np.ndarray, " edge"]], Float[np.ndarray, "reader writer *place"]]:
    """What puts values of these edges, in this order, to their places; NaN for other edges, 0 where there
    is no edge."""
    places = np.array([graph.at(edge) for edge in edges], dtype=np.int64).reshape(len(edges), -1)

    def placed(values: Float[np.ndarray, " edge"]) -> Float[np.ndarray, "reader writer *place"]:
        found = np.where(graph.allowed, np.nan, 0.0)
        found[tuple(places.T)] = values
        return found

    return placed


def strongest(
    graph: Graph,
    means: Float[np.ndarray, "reader writer *place"],
    fraction: float,
    *,
    ranking: Ranking = "signed",
) -> Mask:
    """The share of the edges whose removal would lower the metric most, or change it most where they are
    ranked by magnitude; without dead ends.

    Raises  UsageError for a share that is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"a fraction of the edges is above 0 and at most 1, got {fraction:g}")
    ranked = -means if ranking == "signed" else np.abs(means)
    return graph.pruned(top(ranked, graph.allowed, max(1, round(fraction * graph.n_edges))))


@dataclass(frozen=True, eq=False)
class Found:
    """The chosen circuit, the share of edges that it was cut at, and how all sizes did where they were
    chosen; None if the size was fixed beforehand. `by_magnitude` are the sizes of the other ranking; the
    circuit is `ranked` if it is a cut of the ranking as the sizes are."""

    kept: Mask
    fraction: float
    sizes: dict[float, Mask]
    chosen_on: Evaluation | None
    by_magnitude: Mapping[float, Mask] = field(default_factory=dict)
    ranked: bool = True


def of_size(
    graph: Graph,
    means: Float[np.ndarray, "reader writer *place"],
    n_edges: int,
    *,
    fractions: Sequence[float] = FRACTIONS,
) -> Found:
    """So many of the strongest edges, fixed beforehand; fewer are left without dead ends.

    Raises  UsageError for a number that the graph does not have, and NotApplicable where no path is left.
    """
    if not 1 <= n_edges <= graph.n_edges:
        raise UsageError(
            f"the model has {graph.n_edges:,} edges: keep 1 to that many, got {n_edges:,}"
        )
    scored = int((graph.allowed & ~np.isnan(means)).sum())
    if n_edges > scored:
        raise UsageError(
            f"{scored:,} of the {graph.n_edges:,} edges have a score by this method: keep 1 to that many, "
            f"got {n_edges:,}"
        )
    kept = strongest(graph, means, n_edges / graph.n_edges)
    if not kept.any():
        raise NotApplicable(
            f"the {n_edges} strongest edges leave no path from the embedding to the logits; keep more edges"
        )
    sizes, by_magnitude = sizes_of(graph, means, fractions)
    return Found(kept, n_edges / graph.n_edges, sizes, None, by_magnitude)


def sizes_of(
    graph: Graph, means: Float[np.ndarray, "reader writer *place"], fractions: Sequence[float]
) -> tuple[dict[float, Mask], dict[float, Mask]]:
    """The circuits of these sizes below the whole, by either ranking."""
    shares = [each for each in fractions if each != 1]
    signed = {each: strongest(graph, means, each) for each in shares}
    return signed, {each: strongest(graph, means, each, ranking="magnitude") for each in shares}


def smallest(
    model: Transformer,
    graph: Graph,
    task: Task,
    means: Float[np.ndarray, "reader writer *place"],
    floor: float,
    ablation: Named = "resample",
    *,
    fractions: Sequence[float] = FRACTIONS,
    metric: Measure = logit_difference,
    memory: int = BLOCK,
) -> Found:
    """The smallest of these sizes whose faithfulness on the task's prompts lies within the middle of
    [floor, 2 - floor], so that other prompts leave it there; the one nearest to 1 if none does.

    Raises  NotApplicable where the whole model does no more than the empty circuit, and where no size leaves
            a path from the embedding to the logits; UsageError for fractions that are none.
    """
    sizes, by_magnitude = sizes_of(graph, means, fractions)
    done = evaluate(model, graph, task, [*sizes.values()], ablation, metric=metric, memory=memory)
    found = done.with_a_gap(sure=False)
    values = dict(zip(sizes, found.faithfulness().value, strict=True))
    sure = (1 + floor) / 2
    values = {size: value for size, value in values.items() if sizes[size].any()}
    if not values:
        raise NotApplicable(
            "none of the sizes leaves a path from the embedding to the logits; keep more edges"
        )
    good = [size for size, value in values.items() if sure <= value <= 2 - sure]
    chosen = min(good) if good else min(values, key=lambda size: abs(values[size] - 1))
    return Found(sizes[chosen], chosen, sizes, found, by_magnitude)
