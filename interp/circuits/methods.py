"""The scores that edges can be given, by name, and averages of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from interp.circuits.graph import Graph
from interp.circuits.integrated import eap_ig_activations
from interp.circuits.scores import PerPrompt, Scores, clean_corrupted, eap
from interp.circuits.written import ablation_values
from interp.errors import UsageError, nearest
from interp.linear import GIM, RELP, TRUE, Rules
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import logit_difference
from interp.tasks import Task
from interp.tasks.batches import PromptBatch
from interp.transformer import Config, Transformer

# Bytes that scoring takes above the model: as many prompts go together as fit.
MEMORY = 1 << 30
By = Literal["value", "rank"]


@dataclass(frozen=True)
class Method:
    """One way to score edges: the `rules` of its backward pass, and where slopes are taken: at the clean run,
    on the way from the corrupted to the clean inputs or at both ends of that, or on the way from each
    writer's ablated to its clean activations. With `parts` it is their average, `by` value or rank. `title`
    is what a page calls it."""

    name: str
    title: str
    rules: Rules = TRUE
    path: Literal["clean", "inputs", "ends", "activations"] = "clean"
    parts: tuple[Method, ...] = ()
    by: By = "value"

    @property
    def integrates(self) -> bool:
        """Whether it has steps."""
        return self.path in ("inputs", "activations") or any(part.integrates for part in self.parts)

    @property
    def scores_queries(self) -> bool:
        """Whether edges into queries and keys have scores."""
        return all(part.scores_queries for part in self.parts) and self.rules.scores_queries

    def forwards(self, config: Config, steps: int = 5) -> float:
        """About how many plain forward passes of a batch its scores cost."""
        if self.parts:
            return sum(part.forwards(config, steps) for part in self.parts)
        if self.path == "activations":
            return 4 + (2 * config.n_layers + 1) * (steps - 1)
        return 2 + 2.3 * {"clean": 1, "ends": 2, "inputs": steps}[self.path]

    def __call__(
        self,
        model: Transformer,
        graph: Graph,
        task: Task,
        batch: PromptBatch,
        ablation: Named = "resample",
        *,
        metric: Measure = logit_difference,
        steps: int = 5,
        memory: int = MEMORY,
    ) -> Scores:
        """The score of every edge on every prompt of the batch.

        Raises  UsageError for an ablation other than of the corrupted prompt where the way begins there, for
                less than one step of a way, and for a metric without a slope.

        >>> prompts, graph = tasks.batches.by_length(task)[0], Graph.of(model)
        >>> METHODS["relp"](model, graph, task, prompts).each.shape[1:]
        torch.Size([40, 16])
        """
        if self.path in ("inputs", "ends") and ablation != "resample":
            raise UsageError(
                f"{self.name} goes from the corrupted prompt to the clean one, so what it ablates by is that "
                f"prompt (resample), not {ablation}; use eap (no steps), relp or eap-ig-activations"
            )
        if self.integrates and steps < 1:
            raise UsageError(f"{self.name} takes 1 step or more, got {steps}")
        together = max(1, memory // _each(model.config, graph, batch))
        return Scores.joined(
            [
                self._scored(
                    *(model, graph, task, batch.only(slice(first, first + together)), ablation),
                    *(metric, steps),
                )
                for first in range(0, len(batch), together)
            ]
        )

    def _scored(
        self,
        model: Transformer,
        graph: Graph,
        task: Task,
        batch: PromptBatch,
        ablation: Named,
        metric: Measure,
        steps: int,
    ) -> Scores:
        if self.parts:
            made = [
                part(model, graph, task, batch, ablation, metric=metric, steps=steps)
                for part in self.parts
            ]
            edges = torch.from_numpy(graph.allowed).to(made[0].each.device)
            each = averaged([one.each for one in made], edges, self.by)
            return Scores(each, torch.stack([one.metric for one in made]).mean(0))
        other = ablation_values(model, graph, task, batch, ablation)
        given = (model, graph, batch, other)
        match self.path:
            case "clean":
                return eap(*given, metric=metric, rules=self.rules)
            case "inputs":
                return eap(*given, metric=metric, rules=self.rules, steps=steps)
            case "ends":
                return clean_corrupted(*given, metric=metric, rules=self.rules)
            case "activations":
                return eap_ig_activations(*given, metric=metric, rules=self.rules, steps=steps)


def _each(config: Config, graph: Graph, batch: PromptBatch) -> int:
    """Bytes a prompt: what writers write and its change, slopes at readers, what a backward pass keeps, and
    scores."""
    n_pos, d_model, held = batch.clean.shape[1], config.d_model, len(graph.readers)
    held += 2 * len(graph.writers)
    of_layer = 14 * d_model + 5 * config.d_mlp + 4 * config.n_heads * n_pos
    floats = n_pos * (held * d_model + config.n_layers * of_layer)
    return 4 * (floats + 2 * graph.allowed.size)


def averaged(
    scores: Sequence[PerPrompt], edges: Bool[Tensor, "reader writer *place"], by: By = "value"
) -> PerPrompt:
    """The mean of several methods' scores, or of their ranks among the `edges` of a prompt, from -1 (helps
    most) to 1, where those of one size have one rank. Edges that one of them does not score have none."""
    if by == "value":
        return torch.stack([*scores]).mean(0)
    mean = torch.stack([_ranks(each, edges) for each in scores]).mean(0)
    return torch.where(edges, mean, 0)


def _ranks(scores: PerPrompt, edges: Bool[Tensor, "reader writer *place"]) -> PerPrompt:
    found = torch.full_like(scores, torch.nan)
    for each, ranks in zip(scores, found, strict=True):
        known = edges & ~each.isnan()
        _, which, counts = torch.unique(each[known], return_inverse=True, return_counts=True)
        middle = counts.cumsum(0) - (counts.double() + 1) / 2
        ranks[known] = (2 * middle / max(1, int(known.sum()) - 1) - 1).to(ranks)[which]
    return found


_EAP = Method("eap", "edge attribution patching")
_EAP_IG = Method("eap-ig", "edge attribution patching with integrated gradients", path="inputs")
_ENDS = Method("clean-corrupted", "the mean of slopes at clean and corrupted prompts", path="ends")
_AVERAGE = (
    "the average {} of edge attribution patching, its integrated gradients, and clean-corrupted"
)
METHODS: dict[str, Method] = {
    each.name: each
    for each in (
        _EAP,
        _EAP_IG,
        Method("eap-ig-activations", "integrated gradients over activations", path="activations"),
        _ENDS,
        Method("relp", "relevance patching (RelP)", RELP),
        Method("gim", "gradient interaction modifications (GIM)", GIM),
        Method("average", _AVERAGE.format("value"), parts=(_EAP, _EAP_IG, _ENDS)),
        Method("average-rank", _AVERAGE.format("rank"), parts=(_EAP, _EAP_IG, _ENDS), by="rank"),
    )
}


def method(name: str) -> Method:
    """The method of this name.

    Raises  UsageError for another name, with the nearest.
    """
    if name not in METHODS:
        raise UsageError(f"no score of edges is called {name!r:.60}; {nearest(name, METHODS)}")
    return METHODS[name]
