"""Edges asked one after the other whether they go, several tried together; and how far that is, on disk.

Units   Distances: nats, or the metric's unit; mean of templates' means.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp import files
from interp.circuits.graph import Graph, Mask
from interp.circuits.run import run_circuits
from interp.circuits.trial import Standing, Trial
from interp.circuits.written import ablation_values
from interp.engine.options import current
from interp.errors import UsageError
from interp.methods.ablate import Named
from interp.methods.measured import Measure
from interp.metrics import Metric
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, by_length
from interp.transformer import Transformer

# Decisions within this share of tau are made alone, and within so many roundings of what is compared.
_NEAR = {torch.float64: 1e-9}
_OTHERWISE, _ROUNDINGS = 1e-4, 64
# The most edges that are tried together, and how many at first.
_MOST, _FIRST = 64, 8
Order = Callable[[Sequence[int], Callable[[Sequence[int]], list[float]]], list[int]]


@dataclass
class Counts:
    """Edges whose removal was decided (`evaluated`), circuits that were run for that (`speculated`), those of
    them that decided nothing (`wasted`), and decisions too near to tau, made `alone`."""

    evaluated: int = 0
    speculated: int = 0
    wasted: int = 0
    alone: int = 0


@dataclass(frozen=True, eq=False)
class Pruned:
    """The circuit that is left, dead ends and all, its `distance` from the whole model, that of the `empty`
    one, and what it took."""

    kept: Mask
    distance: float
    empty: float
    counts: Counts


class Search:
    """Some prompts under the current circuit, from which edges go one after the other."""

    def __init__(
        self,
        model: Transformer,
        graph: Graph,
        task: Task,
        tau: float,
        ablation: Named,
        metric: Measure,
        memory: int,
    ) -> None:
        number = isinstance(tau, (int, float)) and not isinstance(tau, bool)
        if not number or not 0 < tau < np.inf:
            raise UsageError(f"tau is a number above 0, in the unit of the metric, got {tau!r:.60}")
        if graph.places is not None:
            raise UsageError("edges are removed one by one in a graph without places; give that")
        self.model, self.graph, self.task, self.tau = model, graph, task, float(tau)
        self.ablation, self.memory, self.counts = ablation, memory, Counts()
        clusters, of = np.unique(task.clusters, return_inverse=True)
        weights = 1 / (np.bincount(of)[of] * len(clusters))
        self.parts: list[_Part] = []
        self.facts: list[Any] = [type(metric).__name__, getattr(metric, "__qualname__", "")]
        for batch in by_length(task, model.device):
            other = ablation_values(model, graph, task, batch, ablation)
            self.parts.append(_Part(model, graph, batch, other, metric(batch), weights))
        self.kept = graph.allowed.copy()
        self.base = sum(float(part.value(part.standing.logits[None])[0]) for part in self.parts)
        self.never_negative = self.parts[0].metric.never_negative
        (self.empty,) = self.whole([np.zeros_like(self.kept)])
        noise = self._rounding(self.empty)
        if self.empty <= noise:
            raise UsageError(
                f"the empty circuit is as near to the whole model as rounding ({self.empty:.2g}) by the "
                f"{self.parts[0].metric.name}: every edge would go; use another metric, or other prompts"
            )
        if self.tau >= self.empty:
            raise UsageError(
                f"tau is below the distance of the empty circuit, which is {self.empty:.3g} by the "
                f"{self.parts[0].metric.name}, got {self.tau:.3g}: every edge might go at once"
            )

    def _distance(self, total: float) -> float:
        return total if self.never_negative else abs(total - self.base)

    def whole(self, masks: Sequence[Mask]) -> list[float]:
        """The distances of these circuits, each run whole."""
        totals = sum(part.whole(masks, self.memory) for part in self.parts)
        return [self._distance(float(each)) for each in totals]  # type: ignore[union-attr]

    def tried(
        self, row: int, columns: Sequence[int], *, apart: bool = False
    ) -> tuple[list[float], list[Trial]]:
        """The distances without the first, the first two … of these edges (`apart`: each alone)."""
        trials = [part.standing.tried(row, columns, self.kept, apart=apart) for part in self.parts]
        totals = np.zeros(len(columns))
        for part, trial in zip(self.parts, trials, strict=True):
            logits = part.standing.logits[None] if trial.logits is None else trial.logits
            totals += part.value(logits)
        return [self._distance(each) for each in totals], trials

    def run(self, order_of_rows: Sequence[int], order: Order, backward: bool, how: str) -> Pruned:
        """What is left when every edge was asked, `order` saying in which order those into one reader are."""
        state = _Saved(self, how, backward)
        begun = state.load()
        if begun:
            self._settle()
        now, options = self.whole([self.kept])[0], current()
        total = self.graph.n_edges
        asked = sum(int(self.graph.allowed[row].sum()) for row in order_of_rows[:begun])
        layer: Any = ""
        for number, row in enumerate(order_of_rows[begun:], begun):
            if self.graph.readers[row].component.layer != layer:
                # Sums of many small changes are made anew.
                layer = self.graph.readers[row].component.layer
                self._settle()
            columns = np.flatnonzero(self.graph.allowed[row])
            columns = columns[::-1] if backward else columns
            left = order(columns.tolist(), partial(self._each, row))
            size = _FIRST
            while left:
                gone, decided, now = self._beginning(row, left[: min(size, self._most())], now)
                size = 2 * size if gone == decided else max(1, 2 * gone)
                left = left[decided:]
                asked += decided
                if options.progress:
                    options.progress(asked, total, "edges")
            state.save(number + 1)
        (distance,) = self.whole([self.kept])
        return Pruned(self.kept, distance, self.empty, self.counts)

    def _settle(self) -> None:
        for part in self.parts:
            part.standing.settle(self.kept)

    def _each(self, row: int, columns: Sequence[int]) -> list[float]:
        """The distances without each of these edges alone."""
        found: list[float] = []
        for first in range(0, len(columns), self._most()):
            some = columns[first : first + self._most()]
            found += self.tried(row, some, apart=True)[0]
            self.counts.speculated += len(some)
        return found

    def _most(self) -> int:
        stream = max(part.bytes for part in self.parts)
        return max(1, min(_MOST, self.memory // (2 * stream)))

    def _beginning(self, row: int, columns: Sequence[int], now: float) -> tuple[int, int, float]:
        """How many of these edges, from the first on, go; on how many that decides; and the distance then."""
        values, trials = self.tried(row, columns)
        gone = 0
        for value in values:
            change = value - now
            if abs(change - self.tau) <= self._near(value, now):
                mask = self.kept.copy()
                mask[row, columns[:gone]] = False
                less = mask.copy()
                less[row, columns[gone]] = False
                before, after = (self.whole([each])[0] for each in (mask, less))
                change = after - before
                self.counts.alone += 1
            if not change < self.tau:
                break
            gone, now = gone + 1, value
        decided = min(gone + 1, len(columns))
        self.counts.evaluated += decided
        self.counts.speculated += len(columns)
        self.counts.wasted += len(columns) - decided
        if gone:
            for part, trial in zip(self.parts, trials, strict=True):
                part.standing.accept(trial, gone - 1)
            self.kept[row, columns[:gone]] = False
        return gone, decided, now

    def _rounding(self, *values: float) -> float:
        eps = torch.finfo(self.model.dtype).eps
        scale = max(float(part.standing.logits.abs().max()) for part in self.parts)
        return _ROUNDINGS * eps * min(scale, max(1.0, *values))

    def _near(self, *values: float) -> float:
        share = _NEAR.get(self.model.dtype, _OTHERWISE)
        return share * self.tau + self._rounding(*values)


class _Part:
    """The prompts of one length."""

    def __init__(
        self,
        model: Transformer,
        graph: Graph,
        batch: PromptBatch,
        other: Tensor,
        metric: Metric,
        weights: Float[np.ndarray, " example"],
    ) -> None:
        self.model, self.graph, self.tokens, self.other = model, graph, batch.clean, other
        self.at = metric.positions(batch.real).to(batch.clean.device)
        self.standing = Standing(model, graph, batch.clean, other, self.at)
        self.metric = metric.bound(self.standing.logits.double())
        self.weights = torch.from_numpy(weights[list(batch.indices)]).to(batch.clean.device)
        self.bytes = other[0].numel() * other.element_size()

    def value(
        self, logits: Float[Tensor, "circuit batch label d_vocab"]
    ) -> Float[np.ndarray, " circuit"]:
        """This part of the mean of templates' means of the metric."""
        logits = logits.double()
        if (columns := self.metric.columns) is not None:
            logits = logits.gather(-1, columns[None, :, None].expand(*logits.shape[:-1], -1))
        rows = torch.arange(logits.shape[1], device=logits.device)
        each = torch.stack([self.metric(one, rows) for one in logits])
        found: np.ndarray = (each @ self.weights).cpu().numpy()
        return found

    def whole(self, masks: Sequence[Mask], memory: int) -> Float[np.ndarray, " circuit"]:
        """The same of circuits that are run whole."""
        return self.value(
            run_circuits(
                self.model, self.graph, self.tokens, self.other, masks, self.at, memory=memory
            )
        )


class _Saved:
    """How far a search is, on disk where a folder for checkpoints is set."""

    def __init__(self, search: Search, how: str, backward: bool) -> None:
        self.search, folder = search, current().checkpoints
        model, digest = search.model, hashlib.sha256()
        facts = (
            how,
            backward,
            model.origin.weights_sha256,
            str(model.dtype),
            search.ablation,
            search.tau,
        )
        digest.update(
            repr((*facts, search.parts[0].metric.name, search.graph.allowed.shape)).encode()
        )
        for part in search.parts:
            for tensor in (part.tokens, part.other, part.standing.logits, part.weights):
                plain = tensor.detach().cpu().contiguous().reshape(-1)
                digest.update(plain.view(torch.uint8).numpy().tobytes())
        self.path = folder and folder / f"{how}-{digest.hexdigest()[:32]}.json"

    def load(self) -> int:
        """How many readers were done before; the circuit is then what was left."""
        if self.path is None or not self.path.is_file():
            return 0
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            removed = np.array(data["removed"], dtype=np.int64).reshape(-1, 2)
            counts, done = Counts(**data["counts"]), int(data["done"])
            kept = self.search.graph.allowed.copy()
            kept[removed[:, 0], removed[:, 1]] = False
        except (ValueError, KeyError, TypeError, IndexError, OSError):
            return 0
        self.search.kept, self.search.counts = kept, counts
        return done

    def save(self, done: int) -> None:
        """Keeps what is left after so many readers."""
        if self.path is None:
            return
        removed = np.argwhere(self.search.graph.allowed & ~self.search.kept).tolist()
        data = {"done": done, "counts": asdict(self.search.counts), "removed": removed}
        files.write_text(self.path, json.dumps(data))
