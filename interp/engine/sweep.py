"""Many interventions, each equal to one naive forward pass, with the least work."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp.engine.allocation import reused_memory
from interp.engine.checkpoint import Checkpoint, sweep_key
from interp.engine.chunk import run_chunk, run_naively
from interp.engine.job import Job
from interp.engine.options import current
from interp.engine.plan import Intervention, Plan, edits_of, memory_budget, plan
from interp.errors import InterpError, UsageError
from interp.metrics import Metric
from interp.transformer import Transformer
from interp.transformer.project import packed


def sweep(
    model: Transformer,
    tokens: Tensor,
    interventions: Sequence[Intervention],
    metric: Metric,
    base: Plan | None = None,
    *,
    attention_mask: Tensor | None = None,
    memory: int | None = None,
) -> Float[Tensor, "intervention example"]:
    """metric(edited run) − metric(base run), for every intervention on every prompt.

    An intervention is an edit or several made together. `base` is the `plan` of this very sweep,
    where it has been made already. `memory` bounds the bytes taken above the model; when memory runs
    out all the same, the batch is halved and the sweep goes on.

    Units   The metric's; positive where the edits raised it.
    Raises  UsageError for edits that do not fit the model or the prompts.
    """
    if base is not None and base.n_interventions != len(interventions):
        raise UsageError(
            f"the plan is of {base.n_interventions} interventions, the sweep has {len(interventions)}; "
            "give the plan of this very sweep, or none"
        )
    work = base or plan(
        model, tokens, interventions, metric, attention_mask=attention_mask, memory=memory
    )
    logits_at_once = max(
        1 << 16, memory_budget(memory) // (8 * work.base.resid_post.element_size())
    )
    effects = work.base.value.new_zeros(len(interventions), work.n_examples)
    saved, options = None, current()
    if options.rehearsal is not None:
        options.rehearsal.append(work)
        return effects
    if options.checkpoints is not None:
        saved = Checkpoint(options.checkpoints, sweep_key(model, work, list(interventions)))
    done, total, halved = 0, len(work.naive) + sum(map(len, work.chunks)), [0]
    with packed(model, unembedding=metric.columns is None), reused_memory():
        for number, chunk in enumerate(work.chunks):
            name = f"chunk-{number:05d}"
            like = effects.new_empty(len(chunk), work.n_examples)
            found = saved.load(name, like) if saved else None
            if found is None:
                found = torch.stack(_halving(model, work, chunk, logits_at_once, halved))
                if saved:
                    saved.save(name, found)
            numbers = torch.tensor([job.number for job in chunk], device=effects.device)
            # Added, since pieces of one job hold other prompts' effects, and zeros elsewhere.
            effects.index_add_(0, numbers, found)
            done += len(chunk)
            if options.progress:
                options.progress(done, total, "interventions")
        for number in work.naive:
            effects[number] = run_naively(model, work.base, edits_of(interventions[number]))
            done += 1
            if options.progress:
                options.progress(done, total, "interventions")
    if saved and saved.lost and options.notes is not None:
        options.notes.append(f"finished parts of a sweep could not be kept: {saved.lost}")
    if halved[0] and options.notes is not None:
        options.notes.append(
            f"memory ran out and {halved[0]} of the batches of {len(interventions)} interventions ran "
            "in halves: their effects agree to rounding, not bit by bit, with those of whole batches"
        )
    return effects


def _halving(
    model: Transformer, work: Plan, jobs: Sequence[Job], logits_at_once: int, halved: list[int]
) -> list[Tensor]:
    """The chunk's effects; in two halves if memory does not hold it, and so on down to one prompt.
    Counts in `halved` how often that was so."""
    try:
        return run_chunk(model, work.base, jobs, logits_at_once)
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        if len(jobs) == 1 and len(jobs[0].examples) == 1:
            raise InterpError(
                f"out of memory for a single intervention on a single prompt of {work.n_pos} tokens; "
                "use shorter prompts"
            ) from error
    halved[0] += 1
    # Outside the handler, which keeps the failed batch's tensors alive.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(jobs) == 1:
        pieces = jobs[0].pieces((len(jobs[0].examples) + 1) // 2)
        return [torch.stack(_halving(model, work, pieces, logits_at_once, halved)).sum(0)]
    half = len(jobs) // 2
    first = _halving(model, work, jobs[:half], logits_at_once, halved)
    return first + _halving(model, work, jobs[half:], logits_at_once, halved)


def _out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch failed for want of memory, which on a CPU it says only in words."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error) for words in ("not enough memory", "can't allocate memory"))
