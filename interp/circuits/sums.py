"""Do the scores of edges add up to what they are parts of? For every method there is a sum that says so.

Method  Slopes at clean or corrupted prompts: the edges into each reader add up to the change of its whole
        stream times the slope there. Integrated over inputs: the edges out of the embedding add up to what
        the metric is on the corrupted prompt more than on the clean one. Integrated over activations: the
        edges out of the heads of a layer, of an MLP or of the embedding add up to the exact effect of
        ablating these. The first holds to rounding, the others up to what so few steps miss.
Units   The metric's unit, of each prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp import edits, sites
from interp.circuits.graph import Graph, readers_of
from interp.circuits.integrated import groups, written_at
from interp.circuits.methods import METHODS, Method
from interp.circuits.scores import between
from interp.circuits.written import Written, ablation_values, bias, kept_for, written
from interp.components import Head
from interp.linear import slopes
from interp.methods.ablate import Named
from interp.methods.measured import Measure, value
from interp.metrics import logit_difference
from interp.sites import Site
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, by_length
from interp.transformer import Transformer

Sums = Float[np.ndarray, "component example"]


@dataclass(frozen=True, eq=False)
class SumRule:
    """What sums of the scores of `method` are and were to be, a row for every sum, and the largest of all
    `terms` added up without their signs. `steps` are those that it integrates over; 0: it holds to rounding.
    """

    method: str
    what: str
    found: Sums
    expected: Sums
    terms: float
    steps: int = 0

    @property
    def residual(self) -> float:
        """The largest difference of a sum on a prompt."""
        return float(np.abs(self.found - self.expected).max())

    @property
    def scale(self) -> float:
        """How large the residual might be: of integrals as the largest of what the sums were to be, else as
        the terms that may cancel in them."""
        return float(np.abs(self.expected).max()) if self.steps else self.terms


def sum_rules(
    model: Transformer,
    graph: Graph,
    task: Task,
    method: Method = METHODS["eap"],
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    steps: int = 5,
    prompts: int = 4,
) -> list[SumRule]:
    """The sum rule of the method, or those of the parts of an average, on a few prompts of one length.

    >>> (rule,) = sum_rules(model, Graph.of(model), task)
    >>> rule.residual < 1e-4 * rule.scale
    True
    """
    if method.parts:
        found_by_part = [
            sum_rules(
                *(model, graph, task, part, ablation), metric=metric, steps=steps, prompts=prompts
            )
            for part in method.parts
        ]
        return [rule for rules in found_by_part for rule in rules]
    graph, batch = graph.at_places(None), by_length(task, model.device)[0].only(slice(prompts))
    scores = method(model, graph, task, batch, ablation, metric=metric, steps=steps).each
    other = ablation_values(model, graph, task, batch, ablation)
    match method.path:
        case "clean" | "ends":
            what = "edges into each reader and the change of its stream times the slope there"
            points = [1.0, 0.0] if method.path == "ends" else [1.0]
            rows, expected = _into_readers(model, graph, batch, other, method, metric, points)
            found, terms = scores[:, rows].sum(2).T, scores[:, rows].abs().sum(2)
        case "inputs":
            what = "edges out of the embedding and the metric on corrupted minus clean prompts"
            on_corrupted, on_clean = (
                value(model, metric(batch), tokens, base=batch.clean)
                for tokens in (batch.corrupted, batch.clean)
            )
            found, expected = scores[:, :, 0].nansum(1)[None], (on_corrupted - on_clean)[None]
            terms = scores[:, :, 0].abs().nansum(1)
        case "activations":
            what = "edges out of heads of a layer, an MLP or the embedding and their exact effect"
            together = groups(graph)
            found = torch.stack([scores[:, :, columns].nansum((1, 2)) for columns in together])
            expected = _exact(model, graph, batch, other, together, metric)
            terms = scores.abs().nansum((1, 2))
    return [
        SumRule(
            method=method.name,
            what=what,
            found=found.double().cpu().numpy(),
            expected=expected.double().cpu().numpy(),
            terms=float(terms.max()),
            steps=steps if method.integrates else 0,
        )
    ]


@torch.no_grad()
def _into_readers(
    model: Transformer,
    graph: Graph,
    batch: PromptBatch,
    ablated: Written,
    method: Method,
    metric: Measure,
    points: list[float],
) -> tuple[list[int], Float[Tensor, "reader batch"]]:
    """The rows of the readers that have scores, and the change of the whole stream that each reads times the
    slope there."""
    streams = [
        site for site in model.sites if site.kind in ("resid_pre", "resid_mid", "resid_post")
    ]
    clean = model.run(batch.clean, keep=streams, logits_at=-1)
    sums: dict[int, Tensor] = {}
    for point in points:
        embedded = edits.put(sites.embed(), between(model, batch, point))
        run = slopes(
            *(model, batch.clean, metric(batch), clean.logits, [embedded]), rules=method.rules
        )
        for kind, layer, slope in run.at_readers():
            rows = readers_of(graph, layer, [kind])
            change = _ablated_stream(model, graph, ablated, rows[0])
            change = change - clean.cache[_reads(model, kind, layer)]
            for row, at in zip(rows, slope, strict=True):
                product = (change * at).sum((1, 2)) / len(points)
                sums[row] = sums.get(row, torch.zeros_like(product)) + product
    return sorted(sums), torch.stack([sums[row] for row in sorted(sums)])


def _reads(model: Transformer, kind: str, layer: int | None) -> Site:
    if layer is None:
        return sites.resid_post(model.config.n_layers - 1)
    middle = kind == "mlp" and not model.config.parallel
    return sites.resid_mid(layer) if middle else sites.resid_pre(layer)


def _ablated_stream(
    model: Transformer, graph: Graph, ablated: Written, row: int
) -> Float[Tensor, "batch pos d_model"]:
    """What a reader reads where all writers before it are ablated."""
    before = int(graph.pairs[row].sum())
    stream = ablated[:before].sum(0)
    for layer in {each.layer for each in graph.writers[:before] if isinstance(each, Head)}:
        constant = bias(model, layer)
        stream = stream if constant is None else stream + constant
    return stream


@torch.no_grad()
def _exact(
    model: Transformer,
    graph: Graph,
    batch: PromptBatch,
    ablated: Written,
    together: list[list[int]],
    metric: Measure,
) -> Float[Tensor, "component batch"]:
    """What ablating each group of writers does."""
    held = model.run(batch.clean, keep=kept_for(model, graph), logits_at=-1).cache
    change, measure = ablated - written(model, graph, held), metric(batch)
    moved = [edits.add(written_at(graph, each), change[each].sum(0)) for each in together]
    values = [value(model, measure, batch.clean, edit) for edit in ([], *([one] for one in moved))]
    return torch.stack(values[1:]) - values[0]
