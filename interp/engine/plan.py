"""What a sweep is going to do, before it does it: which interventions run together, and what it costs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.edits import Edit
from interp.engine.base import Base, base_run
from interp.engine.cost import (
    Bytes,
    bytes_of,
    bytes_of_sweep,
    check_room,
    cut,
    flops_forward,
    flops_of,
)
from interp.engine.imagined import Imagining
from interp.engine.job import Job, JobMaker
from interp.engine.localise import Checker, Intervention, for_prompts, interventions_of, plannable
from interp.engine.options import Room, memory_budget, room_for
from interp.engine.speed import seconds_of
from interp.metrics import Metric
from interp.transformer import Config, Transformer
from interp.transformer.text import to_batch

__all__ = ["Draft", "Intervention", "Part", "Plan", "memory_budget", "plan"]

# The batches that a CPU's caches and a GPU's occupancy like best; larger ones only cost memory.
_BEST_TOKENS = {"cpu": 2048, "cuda": 65536}


@dataclass(frozen=True, eq=False)
class Part:
    """A slice of the prompts: its base run, every intervention's edits for these prompts, and the
    batches in which they run. `room` is bytes for one batch."""

    prompts: slice
    base: Base
    edits: Sequence[tuple[Edit, ...]]
    chunks: tuple[tuple[Job, ...], ...]
    room: int


@dataclass(frozen=True, eq=False)
class Draft:
    """A sweep, checked and cut into slices of prompts, of which nothing has run yet. `naive`
    interventions (Python functions) run by themselves on all prompts."""

    model: Transformer
    tokens: Int[Tensor, "batch pos"]
    real: Bool[Tensor, "batch pos"]
    metric: Metric
    interventions: list[tuple[Edit, ...]]
    naive: tuple[int, ...]
    room: Room
    needs: Bytes
    slices: list[slice]

    def parts(self) -> Iterator[Part]:
        """One slice after the other, with its base run, which costs a forward pass."""
        for prompts in self.slices:
            yield self._part(prompts)

    def _part(self, prompts: slice) -> Part:
        metric, every = self.metric, self.interventions
        tokens, real = self.tokens[prompts], self.real[prompts]
        if len(self.slices) > 1:
            metric = metric.only(prompts)
            every = [tuple(for_prompts(edit, prompts) for edit in edits) for edits in every]
        base = base_run(self.model, tokens, real, metric)
        make = JobMaker(self.model, base)
        jobs = [
            job
            for number, edits in enumerate(every)
            if edits and number not in self.naive and (job := make.job(number, edits))
        ]
        held = self.needs.held * (prompts.stop - prompts.start)
        room = self.room.rest - self.needs.fixed - held
        chunks = _chunks(self.model.config, base, jobs, room, _best_tokens(self.model))
        return Part(prompts, base, every, chunks, room)


@dataclass(frozen=True, eq=False)
class Plan:
    """A sweep, planned. Its batches run one after the other (a job too large for one is cut by
    prompts, and its pieces keep its number); those in `skipped` change nothing that is read.

    `value` is the metric of the base run and `end` its final stream, where the metric reads it. FLOPs
    are multiplications and additions of matrix products, by tokens that run together in `heights`;
    `memory` is bytes above the model, packed weights included. `part` is the only slice, where all
    prompts run together.
    """

    draft: Draft
    n_interventions: int
    n_examples: int
    n_pos: int
    naive: tuple[int, ...]
    skipped: int
    n_batches: int
    value: Float[Tensor, " batch"]
    end: Float[Tensor, "batch label d_model"]
    heights: dict[int, float] = field(repr=False)
    flops_naive: float
    memory: int
    part: Part | None = field(default=None, repr=False)

    @property
    def flops(self) -> float:
        """Of everything, the base run included."""
        return sum(self.heights.values())

    @property
    def chunks(self) -> tuple[tuple[Job, ...], ...]:
        """The batches, where all prompts run together; those of slices are planned one by one."""
        return self._only_part.chunks

    @property
    def base(self) -> Base:
        """The base run, where all prompts run together."""
        return self._only_part.base

    @property
    def _only_part(self) -> Part:
        if self.part is None:
            raise RuntimeError(f"the prompts run in {len(self.draft.slices)} slices, one by one")
        return self.part

    @cached_property
    def seconds(self) -> float:
        """About how long it takes on this machine, which is tried out once."""
        packing = self.draft.room.packing + self.draft.room.held > 0
        return sum(
            seconds_of(self.draft.model, flops, height, self.n_pos, packing)
            for height, flops in self.heights.items()
        )

    def parts(self) -> Iterable[Part]:
        """One slice of the prompts after the other."""
        return self.draft.parts() if self.part is None else [self.part]

    def __str__(self) -> str:
        n_slices = len(self.draft.slices)
        slices = f" of {n_slices} slices of the prompts" if n_slices > 1 else ""
        return (
            f"{self.n_interventions} interventions on {self.n_examples} prompts of {self.n_pos} tokens: "
            f"{self.skipped} change nothing, {len(self.naive)} run one by one, the others in "
            f"{self.n_batches} batches{slices}; {self.flops / 1e12:.3g} TFLOP instead of "
            f"{self.flops_naive / 1e12:.3g}, {self.memory / 2**20:.0f} MiB above the model, "
            f"about {self.seconds:.0f} s"
        )


def plan(
    model: Transformer,
    tokens: Tensor,
    interventions: Edit | Sequence[Intervention],
    metric: Metric,
    *,
    attention_mask: Tensor | None = None,
    memory: int | None = None,
) -> Plan:
    """How `sweep` would run this. Costs one forward pass.

    Raises  UsageError for edits that do not fit the model or the prompts, and for less memory than the
            sweep needs.
    """
    return planned(drafted(model, tokens, interventions, metric, attention_mask, memory))


def drafted(
    model: Transformer,
    tokens: Tensor,
    interventions: Edit | Sequence[Intervention],
    metric: Metric,
    attention_mask: Tensor | None,
    memory: int | None,
) -> Draft:
    """The sweep checked, and cut into slices that memory holds."""
    every = interventions_of(interventions)
    tokens, real = to_batch(model, tokens, attention_mask)
    n_examples, n_pos = tokens.shape
    n_read = metric.positions(real).shape[1]
    columns = metric.columns
    check = Checker(model, n_examples, n_pos)
    naive = tuple(number for number, edits in enumerate(every) if not plannable(edits))
    every = [
        edits if number in naive else tuple(map(check.settled, edits))
        for number, edits in enumerate(every)
    ]
    n_columns = None if columns is None else columns.shape[1]
    needs = bytes_of_sweep(model, n_examples, n_pos, n_read, n_columns, every, naive)
    # A function is given all prompts, and only some metrics can be told some.
    apart = metric.divisible and not naive
    least = needs.least(1 if apart else n_examples)
    best_rows = max(1, _best_tokens(model) // n_pos)
    # Tall batches are worth more than packed weights.
    tall = needs.fixed + best_rows // 2 * needs.row
    room = room_for(model, n_columns is None, memory, max(least, tall))
    check_room(
        room.total,
        room.held + least,
        f"a sweep of {len(every)} interventions on prompts of {n_pos} tokens",
    )
    slices = cut(n_examples, room.rest, needs, best_rows) if apart else [slice(0, n_examples)]
    return Draft(model, tokens, real, metric, every, naive, room, needs, slices)


def planned(draft: Draft) -> Plan:
    """The draft worked out; of several slices each is planned and dropped again."""
    config, (n_examples, n_pos) = draft.model.config, draft.tokens.shape
    noted = len(draft.model.forwards) if isinstance(draft.model, Imagining) else 0
    heights: defaultdict[int, float] = defaultdict(float)
    largest, n_batches, running, values, ends = 0, 0, set(draft.naive), [], []
    for part in draft.parts():
        n_prompts = part.prompts.stop - part.prompts.start
        heights[n_prompts * n_pos] += flops_forward(config, n_prompts, n_pos, n_pos)
        taken = [n_prompts * draft.needs.running]
        for chunk in part.chunks:
            tokens = sum(job.n_tokens(n_pos) for job in chunk)
            heights[tokens] += sum(flops_of(config, job, part.base) for job in chunk)
            running |= {job.number for job in chunk}
            taken.append(sum(bytes_of(config, job, part.base) for job in chunk))
        largest = max(largest, n_prompts * draft.needs.held + max(taken))
        n_batches += len(part.chunks)
        values.append(part.base.value)
        ends.append(part.base.end)
        only = part if len(draft.slices) == 1 else None
        # The next slice's base run has its place.
        del part
    if isinstance(draft.model, Imagining):
        # The base runs are counted here.
        del draft.model.forwards[noted:]
    one = flops_forward(config, n_examples, n_pos, n_pos)
    heights[n_examples * n_pos] += one * len(draft.naive)
    return Plan(
        draft=draft,
        n_interventions=len(draft.interventions),
        n_examples=n_examples,
        n_pos=n_pos,
        naive=draft.naive,
        skipped=len(draft.interventions) - len(running),
        n_batches=n_batches,
        value=torch.cat(values),
        end=torch.cat(ends),
        heights=dict(heights),
        flops_naive=one * len(draft.interventions),
        memory=draft.room.held + draft.room.packing + draft.needs.fixed + largest,
        part=only,
    )


def _best_tokens(model: Transformer) -> int:
    return _BEST_TOKENS.get(model.device.type, _BEST_TOKENS["cpu"])


def _chunks(
    config: Config, base: Base, jobs: Sequence[Job], most_bytes: int, most_tokens: int
) -> tuple[tuple[Job, ...], ...]:
    """Jobs that run together: as many as memory holds and no more than do any good. A job too large
    by itself goes in pieces, down to single prompts. Jobs whose edits go on after their entry need
    rows of one start."""
    n_pos = base.tokens.shape[1]
    ordered = sorted(
        jobs,
        key=lambda job: (job.start if job.later else -1, job.entry_point, job.start, job.number),
    )
    chunks: list[list[Job]] = []
    room, tokens_left = 0, 0
    for whole in ordered:
        fitting = most_bytes // (bytes_of(config, whole, base) // len(whole.examples))
        n_rows = min(fitting, most_tokens // (n_pos - whole.start))
        for job in _within(config, base, whole.pieces(max(1, n_rows)), most_bytes):
            size, tokens = bytes_of(config, job, base), job.n_tokens(n_pos)
            together = chunks and bool(chunks[-1][0].later) == bool(job.later)
            if job.later and together:
                together = chunks[-1][0].start == job.start
            if not together or size > room or tokens > tokens_left:
                chunks.append([])
                room, tokens_left = most_bytes, most_tokens
            chunks[-1].append(job)
            room, tokens_left = room - size, tokens_left - tokens
    return tuple(map(tuple, chunks))


def _within(config: Config, base: Base, pieces: Iterable[Job], most_bytes: int) -> Iterator[Job]:
    """The pieces, halved where they are larger: what prompts share is shared by fewer of them."""
    for piece in pieces:
        n_rows = len(piece.examples)
        if n_rows > 1 and bytes_of(config, piece, base) > most_bytes:
            yield from _within(config, base, piece.pieces((n_rows + 1) // 2), most_bytes)
        else:
            yield piece
