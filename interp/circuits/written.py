"""What every writer adds to the residual stream in a run, and what ablation puts in the place of it.

Units   `[writer batch pos d_model]`, in the graph's order of writers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp import sites
from interp.circuits.graph import Graph
from interp.circuits.nodes import Part
from interp.components import MLP, Component, Head
from interp.errors import UsageError
from interp.methods.ablate import KINDS, Named
from interp.methods.means import no_means, template_means
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import PromptBatch
from interp.transformer import Transformer
from interp.transformer.contract import einsum

Written = Float[Tensor, "writer batch pos d_model"]


def kept_for(model: Transformer, graph: Graph | None = None) -> list[Site]:
    """The sites that what writers write is made of; with a graph those of parts of MLPs too."""
    config = model.config
    found = [sites.embed()]
    found += [sites.pos_embed()] if config.positions == "learned" else []
    for layer in range(config.n_layers):
        found += [sites.z(layer), sites.mlp_out(layer)] if config.d_mlp else [sites.z(layer)]
    parts = [each.layer for each in graph.writers if isinstance(each, Part)] if graph else []
    return found + [_read(model, layer) for layer in {*parts} if layer is not None]


def _read(model: Transformer, layer: int) -> Site:
    """What the MLP of a layer reads."""
    return sites.resid_pre(layer) if model.config.parallel else sites.resid_mid(layer)


def written(model: Transformer, graph: Graph, held: Mapping[Any, Tensor]) -> Written:
    """What each writer writes in the run whose sites are `held`, those of `kept_for`."""
    embed = held[sites.embed()]
    out = embed.new_empty(len(graph.writers), *embed.shape)
    of_heads: dict[int, Tensor] = {}
    for row, writer in enumerate(graph.writers):
        out[row] = _one(model, writer, held, of_heads)
    return out


def _one(
    model: Transformer,
    writer: Component,
    held: Mapping[Any, Tensor],
    of_heads: dict[int, Tensor],
) -> Float[Tensor, "batch pos d_model"]:
    if isinstance(writer, Head):
        if writer.layer not in of_heads:
            z, W_O = held[sites.z(writer.layer)], model.block(writer.layer).attn.W_O
            of_heads[writer.layer] = einsum(
                "batch pos head d_head, head d_head d_model -> head batch pos d_model", z, W_O
            )
        return of_heads[writer.layer][writer.index]
    if isinstance(writer, MLP):
        return held[sites.mlp_out(writer.layer)]
    if isinstance(writer, Part) and writer.layer is not None:
        return writer.writes(model, held[_read(model, writer.layer)])
    embed = held[sites.embed()]
    return embed + held[sites.pos_embed()] if sites.pos_embed() in held else embed


def bias(model: Transformer, layer: int) -> Float[Tensor, " d_model"] | None:
    """What the attention of a layer adds that no head writes. An MLP's bias is of what the MLP writes."""
    return model.block(layer).attn.b_O


@torch.no_grad()
def ablation_values(
    model: Transformer, graph: Graph, task: Task, batch: PromptBatch, kind: Named
) -> Written:
    """What stands in the place of each writer where an edge of it is removed: what it writes on the paired
    corrupted prompt, its mean over other corrupted prompts of the template, or nothing (z and the output of
    an MLP are 0, biases of values and of MLPs with them; b_O stays, so that this depends on where biases
    are kept).

    Raises  UsageError for another kind, and where the task has too few corrupted prompts for means, or
            the graph parts of MLPs.
    """
    if kind not in KINDS:
        raise UsageError(f"an ablation of edges is {', '.join(KINDS)}, got {kind!r:.60}")
    wanted = kept_for(model, graph)
    held = model.run(batch.corrupted, keep=wanted, logits_at=-1).cache
    if kind == "resample":
        return written(model, graph, held)
    if kind == "zero":
        return torch.zeros_like(written(model, graph, held))
    if reason := no_means(task):
        raise UsageError(f"edges cannot be ablated by means: {reason}")
    if parts := [each for each in graph.writers if isinstance(each, Part)]:
        raise UsageError(
            f"there is no mean of what a part of an MLP writes, such as {parts[0]}: ablate edges by resample "
            "or zero"
        )
    means = {site: template_means(model, task, batch.prompts, site, held[site]) for site in wanted}
    return written(model, graph, means)
