"""What circuits do on the prompts of a task: the metric, the distance from the whole model, the same answer.

Method  Faithfulness is the share that a circuit does of what the whole model does more than the empty
        circuit: a ratio of means of templates' means. Beside it the divergence of its next-token distribution
        from the whole model's, and whether its first token is the same: a logit difference can be restored
        while the output is not.
Units   Faithfulness: share, 1 is the whole model; above 1 a circuit that does more than the model, since
        edges that work against the answer are not in it. Divergence: nats.
Source  Wang et al. 2022, arXiv:2211.00593; Hanna et al. 2024, arXiv:2403.17806; Mueller et al. 2025, MIB,
        arXiv:2504.13151 (ratio of means).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp import stats
from interp.circuits.graph import Graph, Mask
from interp.circuits.run import BLOCK, run_circuits
from interp.circuits.written import ablation_values
from interp.errors import NotApplicable
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import Metric, logit_difference
from interp.stats import Estimate
from interp.tasks import Task
from interp.tasks.batches import by_length, gathered
from interp.transformer import Transformer

Each = Float[np.ndarray, "circuit example"]
# Logits of circuits that are held at once: half a gigabyte in double precision, a few times.
_LOGITS = 1 << 26


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What every circuit does on every kept prompt of a task, and the whole model and the empty circuit
    beside them: the `metric`, the divergence `kl` from the whole model, and the `same` first token.
    `empty_output` is the last two of the empty circuit."""

    task: Task
    metric: Each
    kl: Each
    same: Each
    whole: Float[np.ndarray, " example"]
    empty: Float[np.ndarray, " example"]
    empty_output: Float[np.ndarray, "2 example"]

    def where(self, prompts: Bool[np.ndarray, " example"]) -> Evaluation:
        """The same on some of the prompts."""
        task = self.task.only(prompts)
        parts = (self.metric, self.kl, self.same, self.whole, self.empty, self.empty_output)
        return Evaluation(task, *(each[..., prompts] for each in parts))

    def of(self, circuits: Sequence[int] | slice) -> Evaluation:
        """The same for some of the circuits, in this order."""
        rows = np.arange(len(self.metric))[circuits]
        return replace(self, metric=self.metric[rows], kl=self.kl[rows], same=self.same[rows])

    def with_the_empty(self) -> Evaluation:
        """The same, with the empty circuit as the last."""
        kl, same = self.empty_output
        return replace(
            self,
            metric=np.vstack([self.metric, self.empty]),
            kl=np.vstack([self.kl, kl]),
            same=np.vstack([self.same, same]),
        )

    def by_variant(self) -> dict[str, Evaluation]:
        """The same for the prompts of each variant, in the order in which they first come; one without a
        name if the task has none."""
        found = dict.fromkeys(prompt.order for prompt in self.task.kept)
        return {name: self.where(self.task.where(order=name)) for name in found}

    @property
    def gap(self) -> Float[np.ndarray, " example"]:
        """What the whole model does more than the empty circuit."""
        return self.whole - self.empty

    def faithfulness(self, seed: int = 0) -> Estimate:
        """The share of the gap that each circuit has, with its interval over clusters."""
        moved = self.metric - self.empty
        return stats.ratio_of_means(moved, self.gap, self.task.clusters, seed=seed)

    def ahead(self, seed: int = 0) -> Estimate:
        """By what share of the gap the first circuit does more than each of the others: of differences
        prompt by prompt, so that what templates have in common drops out of the interval."""
        more = self.metric[:1] - self.metric[1:]
        return stats.ratio_of_means(more, self.gap, self.task.clusters, seed=seed)

    def frame(self, seed: int = 0) -> pd.DataFrame:
        """faithfulness, ci_low, ci_high, kl, agreement and n: one row a circuit. kl and agreement are, as
        faithfulness, of means of templates' means."""
        found, clusters = self.faithfulness(seed), self.task.clusters
        return pd.DataFrame(
            {
                "faithfulness": found.value,
                "ci_low": found.low,
                "ci_high": found.high,
                "kl": stats.cluster_means(self.kl, clusters).mean(-1),
                "agreement": stats.cluster_means(self.same, clusters).mean(-1),
                "n": self.task.n,
            }
        )

    def with_a_gap(self, seed: int = 0, *, sure: bool = True) -> Evaluation:
        """This, where there is a gap for circuits to have a share of.

        Raises  NotApplicable where its interval is not above zero or shares of it have none, or where its
                mean is not above zero if it need not be `sure`: a choice is made on the few templates that
                there are, and judged on others.
        """
        gap = stats.mean(self.gap, self.task.clusters, seed=seed)
        low, high = float(gap.low), float(gap.high)
        if not (low if sure else float(gap.value)) > 0:
            how_sure = f"with an interval from {low:.2g} to {high:.2g}"
            if np.isnan(low):
                how_sure = f"of {gap.clusters} templates, too few for an interval"
            raise NotApplicable(
                f"the whole model does {float(gap.value):.2g} more than the empty circuit on {self.task.n} "
                f"prompts of {self.task.name}, {how_sure}: there is nothing of which a circuit could have a "
                "share"
            )
        shares = stats.ratio_of_means(self.gap[None], self.gap, self.task.clusters, seed=seed)
        if sure and np.isnan(shares.low).any():
            raise NotApplicable(
                f"shares of what the whole model does more than the empty circuit have no interval on "
                f"{self.task.n} prompts of {self.task.name}: {shares.method}; more templates may have one"
            )
        return self


@torch.no_grad()
def evaluate(
    model: Transformer,
    graph: Graph,
    task: Task,
    masks: Sequence[Mask],
    ablation: Named = "resample",
    *,
    metric: Measure = logit_difference,
    memory: int = BLOCK,
) -> Evaluation:
    """Every circuit on every kept prompt.

    Raises  UsageError as `run_circuits` does.

    >>> graph = Graph.of(model)
    >>> found = evaluate(model, graph, task, [graph.allowed])
    >>> found.faithfulness().value.round(3)
    array([1.])
    """
    every = [np.zeros_like(graph.allowed), *masks]
    parts = []
    for batch in by_length(task, model.device):
        other = ablation_values(model, graph, task, batch, ablation)
        # The whole model is run as it is, so that what runs circuits can be held against it.
        whole = model.run(batch.clean, logits_at=-1).logits
        places = graph.places.of(batch) if graph.places else None
        measure = metric(batch).bound(whole.double())
        # Of so many circuits the logits are held at once.
        size = max(1, _LOGITS // whole.numel())
        read = [_read(whole[None], whole, measure)]
        for first in range(0, len(every), size):
            some = every[first : first + size]
            logits = run_circuits(
                model, graph, batch.clean, other, some, memory=memory, places=places
            )
            read.append(_read(logits, whole, measure))
        parts.append((batch, torch.cat(read, 1).flatten(0, 1)))
    metric_, kl_, same_ = np.split(gathered(task, parts), 3)
    nothing = np.stack([kl_[1], same_[1]])
    return Evaluation(task, metric_[2:], kl_[2:], same_[2:], metric_[0], metric_[1], nothing)


def _read(
    logits: Float[Tensor, "circuit batch label d_vocab"],
    whole: Float[Tensor, "batch label d_vocab"],
    measure: Metric,
) -> Float[Tensor, "3 circuit batch"]:
    """The metric of some circuits, their divergence from the whole model, and whether the first token is
    the same."""
    logits, rows = logits.double(), torch.arange(len(whole), device=whole.device)
    read = logits
    if (columns := measure.columns) is not None:
        read = logits.gather(-1, columns[None, :, None].expand(*logits.shape[:-1], -1))
    values = torch.stack([measure(each, rows) for each in read])
    logs, own = (each.log_softmax(-1) for each in (logits[:, :, 0], whole[:, 0].double()))
    kl = (own.exp() * (own - logs)).sum(-1)
    same = logs.argmax(-1) == own.argmax(-1)
    return torch.stack([values, kl, same.double()])
