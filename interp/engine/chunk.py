"""The effects of some interventions, run as one batch; and of one, run naively."""

from collections.abc import Sequence

import torch
from fancy_einsum import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp import sites
from interp.edits import Edit
from interp.engine.base import Base
from interp.engine.entry import EntryPoint, LayerEntry
from interp.engine.job import SEEN_LATER, Job
from interp.engine.localise import RowHooks, localised
from interp.engine.propagate import Propagation, Rows, Span
from interp.metrics import measured
from interp.transformer import Transformer


@torch.no_grad()
def run_naively(model: Transformer, base: Base, edits: Sequence[Edit]) -> Float[Tensor, " batch"]:
    """The effect of one intervention by one whole forward pass."""
    # A function that changes the logits is given all of them.
    whole = any(edit.site == sites.logits() for edit in edits)
    at = None if whole else base.read
    run = model.run(base.tokens, edits=edits, attention_mask=base.real, logits_at=at)
    if whole:
        return measured(base.metric, run.logits, base.real) - base.value
    everyone = torch.arange(len(base.tokens), device=base.tokens.device)
    return base.metric(_columns_of(run.logits, base, everyone), everyone) - base.value


@torch.no_grad()
def run_chunk(
    model: Transformer, base: Base, jobs: Sequence[Job], logits_at_once: int
) -> list[Float[Tensor, " batch"]]:
    """The effect of each job on every prompt; the jobs (in order of their entry points) run as one batch.

    `logits_at_once` bounds how many logits exist at a time.
    """
    taps: list[tuple[slice, Edit]] = []
    arriving: dict[EntryPoint, list[Job]] = {}
    first_row = 0
    for job in jobs:
        arriving.setdefault(job.entry_point, []).append(job)
        own = slice(first_row, first_row + len(job.examples))
        taps += [(own, edit) for edit in localised(job.later, job.examples, job.start)]
        first_row = own.stop
    hooks = RowHooks(taps) if taps else None
    order: dict[Span, list[Job]] = {}
    n_led: dict[Span, int] = {}

    def arrive(at: EntryPoint) -> list[Rows]:
        entries: dict[tuple[int, tuple[int, ...]], LayerEntry] = {}

        def entered(job: Job, examples: Tensor, start: int) -> Tensor:
            shared = (start, tuple(examples.tolist()))
            if shared not in entries:
                entries[shared] = LayerEntry(model, base, at.layer, examples, start)
            return _entered(entries[shared], job, at)

        joined: dict[Span, list[Rows]] = {}
        for job in arriving.get(at, ()):
            start, prefix = job.start, job.prefix
            if prefix is None:
                rows = Rows(start, job.examples, entered(job, job.examples, start))
            else:
                stop, leaders = prefix.stop, prefix.leaders
                resid = entered(job, leaders, start)[:, : stop - start]
                led = Rows(start, leaders, resid, stop)
                joined.setdefault(led.span, []).append(led)
                follows = prefix.follows + n_led.get(led.span, 0)
                n_led[led.span] = n_led.get(led.span, 0) + len(leaders)
                first = start if any(edit.site.kind in SEEN_LATER for edit in job.now) else stop
                resid = entered(job, job.examples, first)[:, stop - first :]
                rows = Rows(stop, job.examples, resid, None, start, follows)
            joined.setdefault(rows.span, []).append(rows)
            order.setdefault(rows.span, []).append(job)
        return [_together(several) for several in joined.values()]

    done = Propagation(model, base, arrive, hooks).run(
        min(entry_point.layer for entry_point in arriving)
    )
    effects: dict[Job, Tensor] = {}
    for rows in done:
        values = _values(model, base, rows, hooks, logits_at_once)
        changes = values - base.value[rows.examples]
        counts = [len(job.examples) for job in order[rows.span]]
        for job, change in zip(order[rows.span], changes.split(counts), strict=True):
            effect = torch.zeros_like(base.value)
            effect[job.examples] = change
            effects[job] = effect
    return [effects[job] for job in jobs]


def _together(several: Sequence[Rows]) -> Rows:
    """Groups of one span as one."""
    first = several[0]
    examples, resid = (
        torch.cat([getattr(it, name) for it in several]) for name in ("examples", "resid")
    )
    follows = None
    if first.follows is not None:
        follows = torch.cat([it.follows for it in several if it.follows is not None])
    return Rows(first.start, examples, resid, first.stop, first.led_from, follows)


def _entered(entry: LayerEntry, job: Job, at: EntryPoint) -> Tensor:
    """The stream of a job's rows as they join, of the prompts and from the position of the entry."""
    if edits := localised(job.now, entry.examples, entry.start):
        return entry.entered(edits)
    return (entry.before, entry.middle, entry.after)[at.stage]


def _values(
    model: Transformer, base: Base, rows: Rows, hooks: RowHooks | None, logits_at_once: int
) -> Float[Tensor, " example"]:
    """The metric of every row from its final stream."""
    if hooks is None:
        normed = model.ln_final(rows.resid)
        return metric_of_normed(model, base, normed, rows.examples, logits_at_once)
    # Edits are still to be made, on whole activations as in a plain run.
    normed = model.ln_final(rows.resid, hooks, sites.final_scale(), sites.final_normalized())
    read = base.read[rows.examples]
    known = model.ln_final(base.resid_post[rows.examples[:, None], read])
    if hooks.edits(sites.logits()):
        whole = hooks(sites.logits(), model.unembed(normed))
        logits = _as_read(whole, rows, read, model.unembed(known))
        return base.metric(_columns_of(logits, base, rows.examples), rows.examples)
    normed = _as_read(normed, rows, read, known)
    return metric_of_normed(model, base, normed, rows.examples, logits_at_once)


def _as_read(
    late: Float[Tensor, "example pos d_vocab"],
    rows: Rows,
    read: Int[Tensor, "example label"],
    known: Float[Tensor, "example label d_vocab"],
) -> Float[Tensor, "example label d_vocab"]:
    """What the metric reads of activations at positions from `start` on; before them, `known` of
    the base run."""
    rows_index = torch.arange(len(read), device=read.device)[:, None]
    here = late[rows_index, (read - rows.start).clamp(min=0)]
    return torch.where((read < rows.start)[..., None], known, here)


def metric_of_normed(
    model: Transformer,
    base: Base,
    normed: Float[Tensor, "example label d_model"],
    examples: Int[Tensor, " example"],
    logits_at_once: int,
) -> Float[Tensor, " example"]:
    """The metric of rows, from the final norm's output at the positions that it reads."""
    columns = base.metric.columns
    width = model.config.d_vocab_out if columns is None else columns.shape[1]
    n_rows = max(1, logits_at_once // (width * normed.shape[1]))
    # Into one tensor: what outlives a piece would lie between the large blocks of the next ones.
    values = base.value.new_empty(len(examples))
    pieces = zip(values.split(n_rows), normed.split(n_rows), examples.split(n_rows), strict=True)
    for found, some, those in pieces:
        found.copy_(base.metric(_logits(model, some, those, columns), those))
    return values


def _logits(
    model: Transformer,
    normed: Float[Tensor, "example label d_model"],
    examples: Int[Tensor, " example"],
    columns: Int[Tensor, "batch component"] | None,
) -> Float[Tensor, "example label d_vocab"]:
    """The logits that the metric reads, and no others."""
    if columns is None:
        return model.unembed(normed)
    wanted = columns.to(normed.device)[examples]
    W_U = model.unembed.matrix.T[wanted]
    logits = einsum(
        "example label d_model, example component d_model -> example label component", normed, W_U
    )
    bias = model.unembed.bias
    return logits if bias is None else logits + bias[wanted][:, None]


def _columns_of(
    logits: Float[Tensor, "example label d_vocab"], base: Base, examples: Int[Tensor, " example"]
) -> Float[Tensor, "example label component"]:
    """The columns that the metric reads of whole logits."""
    if base.metric.columns is None:
        return logits
    wanted = base.metric.columns.to(logits.device)[examples]
    return logits.gather(-1, wanted[:, None].expand(-1, logits.shape[1], -1))
