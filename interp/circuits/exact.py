"""What removing an edge does, exactly: its reader reads one writer's ablated value, and everything after
is computed again.

Method  What the reader reads is known in closed form: the clean run's residual stream, plus what ablation
        puts in the place of the writer, minus what that writes. So an edge is an addition at the reader's
        input, and a sweep of these takes the layers before the reader from one base run, and runs all edges
        into a layer together from there on.
Units   The metric's, removed minus clean; negative: the edge helps.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593 (path patching of direct edges).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp import edits, sites
from interp.circuits.graph import Edge, Graph
from interp.circuits.written import Written, ablation_values, kept_for, written
from interp.components import MLP, Component, Head, KVHead, Logits
from interp.edits import Edit
from interp.effects import Effects
from interp.engine import sweep
from interp.errors import UsageError
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import Metric, logit_difference
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, by_length, gathered
from interp.transformer import Transformer
from interp.transformer.hooks import RunHooks


@torch.no_grad()
def edge_effects(
    model: Transformer,
    graph: Graph,
    task: Task,
    edges: Sequence[Edge] | None = None,
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    at: str | None = None,
    memory: int | None = None,
) -> Effects:
    """The effect of removing each of these edges (by default every one) by itself, on every kept prompt. `at`
    names the one position at which readers read the ablated value; by default they read it everywhere.

    Raises  UsageError for an edge that the graph does not have, and for a position that a prompt does not.

    >>> graph = Graph.of(model)
    >>> edge_effects(model, graph, task, into(graph, components.MLP(0))).values.shape
    (5, 8)
    """
    graph.check_plain("exact effects of single edges")
    chosen = graph.edges() if edges is None else list(edges)
    for edge in chosen:
        graph.at(edge)
    found, unit, signed = [], "logits", True
    for batch in by_length(task, model.device):
        measure = metric(batch)
        unit, signed = measure.unit, not measure.never_negative
        other = ablation_values(model, graph, task, batch, ablation)
        places = None if at is None else batch.position(at)
        effects = batch_effects(
            model, graph, batch, other, chosen, measure, at=places, memory=memory
        )
        found.append((batch, effects))
    layers = [-1 if edge.reader.layer is None else edge.reader.layer for edge in chosen]
    strata = torch.tensor(layers, dtype=torch.long).numpy()
    return Effects(gathered(task, found), chosen, task, unit, strata, signed=signed)


@torch.no_grad()
def batch_effects(
    model: Transformer,
    graph: Graph,
    batch: PromptBatch,
    ablated: Written,
    edges: Sequence[Edge],
    metric: Metric,
    *,
    at: Int[Tensor, " batch"] | None = None,
    memory: int | None = None,
) -> Float[Tensor, "edge batch"]:
    """The same for prompts of one length, with these ablated values, read at one position of each or at
    all."""
    held = _held(model, graph, batch, edges)
    columns = sorted({graph.at(edge)[1] for edge in edges})
    some = replace(graph, writers=tuple(graph.writers[column] for column in columns))
    moved = ablated[columns].sub_(written(model, some, held))
    delta = dict(zip(columns, moved, strict=True))
    removed = [_removed(model, graph, edge, delta, held, batch, at) for edge in edges]
    return sweep(model, batch.clean, removed, metric, memory=memory)


def _held(
    model: Transformer, graph: Graph, batch: PromptBatch, edges: Sequence[Edge]
) -> Mapping[Site, Tensor]:
    """What writers write in the clean run, which goes no further than the last of the readers."""
    last = model.config.n_layers - 1
    n_layers = 1 + max(
        (last if each.reader.layer is None else each.reader.layer for each in edges), default=0
    )
    wanted = [
        site for site in kept_for(model, graph) if site.layer is None or site.layer < n_layers
    ]
    hooks = RunHooks(keep=wanted)
    model.stream(batch.clean, torch.ones_like(batch.clean, dtype=torch.bool), hooks, n_layers)
    return hooks.kept


def into(graph: Graph, *readers: Component) -> list[Edge]:
    """Every edge into these components.

    Raises  UsageError for one that reads nothing in this graph.
    """
    _known(readers, [each.component for each in graph.readers], "reads nothing")
    return [edge for edge in graph.edges() if edge.reader in readers]


def out_of(graph: Graph, *writers: Component) -> list[Edge]:
    """Every edge out of these components.

    Raises  UsageError for one that writes nothing in this graph.
    """
    _known(writers, graph.writers, "writes nothing")
    return [edge for edge in graph.edges() if edge.writer in writers]


def _known(asked: Iterable[Component], known: Iterable[Component], what: str) -> None:
    there = set(known)
    for each in asked:
        if each not in there:
            raise UsageError(
                f"{each} {what} in this graph, which has {len(there)} such components, "
                f"the last of them {max(there, key=str)}"
            )


def _removed(
    model: Transformer,
    graph: Graph,
    edge: Edge,
    delta: Mapping[int, Tensor],
    held: Mapping[Any, Tensor],
    batch: PromptBatch,
    at: Int[Tensor, " batch"] | None,
) -> list[Edit]:
    """The edits that remove the edge."""
    _, column, *place = graph.at(edge)
    moved, where = delta[column], None
    if graph.places is not None:
        moved = moved * (graph.places.of(batch) == place[0])[..., None]
    if at is not None:
        moved = moved[torch.arange(len(at), device=moved.device), at][:, None]
        where = at[:1] if bool((at == at[0]).all()) else at[:, None]
    site, heads, frozen = _reads(model, edge)
    value = moved if heads is None else moved[:, :, None]
    made = [edits.add(site, value, heads=heads, positions=where)]
    if frozen:
        z = sites.z(site.layer or 0)
        made.append(edits.put(z, held[z][:, :, frozen], heads=frozen))
    return made


def _reads(model: Transformer, edge: Edge) -> tuple[Site, int | None, list[int]]:
    """Where the edge's reader reads, as which head, and which heads must not see what it reads: those that
    share its keys and values, where it has a copy of its own."""
    reader, layer = edge.reader, edge.reader.layer
    if isinstance(reader, Logits):
        return sites.resid_post(model.config.n_layers - 1), None, []
    if layer is None or not isinstance(reader, (Head, KVHead, MLP)):
        raise UsageError(f"exact effects are of edges into heads, MLPs and the logits, got {edge}")
    if isinstance(reader, MLP):
        return sites.mlp_in(layer), None, []
    if edge.input == "q":
        return sites.q_input(layer), reader.index, []
    site, group = Site(f"{edge.input}_input", layer), model.config.group
    if not isinstance(reader, Head) or group == 1:
        return site, reader.index, []
    shared = reader.index // group
    others = [each for each in range(shared * group, (shared + 1) * group) if each != reader.index]
    return site, shared, others
