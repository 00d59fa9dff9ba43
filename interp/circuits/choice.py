"""Which circuit a study judges: the strongest edges, so many as suffice or as were fixed beforehand, or what
is left when every edge was asked."""

import numpy as np
from jaxtyping import Float

from interp.circuits.acdc import acdc, kl
from interp.circuits.graph import Graph
from interp.circuits.search import FRACTIONS, Found, first_order, of_size, sizes_of, smallest
from interp.errors import NotApplicable, UsageError
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.tasks import Task
from interp.transformer import Transformer

# What an edge has to do under ACDC, in nats or the metric's unit, where nothing is said.
TAU = 0.001


def metrics(metric: str, *, asks: bool) -> tuple[Measure, Measure]:
    """What edges are scored and circuits judged by, and what is asked whether an edge goes. The kl is for
    the second alone (`asks`); scores are then of the logit difference.

    Raises  UsageError as `first_order` does.
    """
    if asks and metric == "kl":
        return first_order("logit_difference"), kl
    by = first_order(metric)
    return by, by


def choose(
    model: Transformer,
    graph: Graph,
    task: Task,
    means: Float[np.ndarray, "reader writer"],
    floor: float,
    ablation: Named = "resample",
    *,
    edges: int | None = None,
    asks: bool = False,
    tau: float | None = None,
    metric: str = "logit_difference",
    fractions: tuple[float, ...] = FRACTIONS,
) -> Found:
    """The circuit of these prompts: by the mean scores, or where each edge is asked by ACDC with `tau`.

    Raises  UsageError for a number of edges where each is asked, and for a tau where none is; NotApplicable
            as the search does, and where ACDC leaves no path.
    """
    by, of = metrics(metric, asks=asks)
    if asks:
        if edges is not None:
            raise UsageError("how many edges acdc keeps follows from --tau; leave --edges out")
        left = acdc(model, graph, task, TAU if tau is None else tau, ablation, metric=of)
        kept = graph.pruned(left.kept)
        if not kept.any():
            raise NotApplicable("acdc leaves no path from the embedding to the logits; lower --tau")
        share = float(kept.sum() / graph.n_edges)
        signed, magnitude = sizes_of(graph, means, fractions)
        return Found(kept, share, signed, None, magnitude, ranked=False)
    if tau is not None:
        raise UsageError("--tau is what acdc asks of an edge; give --method acdc, or leave it out")
    if edges is not None:
        return of_size(graph, means, edges, fractions=fractions)
    return smallest(model, graph, task, means, floor, ablation, fractions=fractions, metric=by)
