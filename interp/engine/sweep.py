"""Many interventions, each equal to one naive forward pass, with the least work."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.edits import Edit
from interp.engine.base import Base
from interp.engine.checkpoint import Checkpoint, sweep_key
from interp.engine.chunk import run_chunk, run_naively
from interp.engine.cost import LOGITS_COPIES, MOST_LOGITS
from interp.engine.job import Job
from interp.engine.localise import interventions_of
from interp.engine.options import current
from interp.engine.plan import Draft, Intervention, Part, Plan, drafted, planned
from interp.engine.speed import give_back, reused_memory
from interp.errors import InterpError, UsageError
from interp.metrics import Metric
from interp.transformer import Transformer
from interp.transformer.packing import packed, packing_within


def sweep(
    model: Transformer,
    tokens: Tensor,
    interventions: Edit | Sequence[Intervention],
    metric: Metric,
    base: Plan | None = None,
    *,
    attention_mask: Tensor | None = None,
    memory: int | None = None,
) -> Float[Tensor, "intervention example"]:
    """metric(edited run) − metric(base run), for every intervention on every prompt.

    An intervention is an edit or several made together. `base` is the `plan` of this very sweep,
    where it has been made already. `memory` bounds the bytes taken above the model, packed weights
    and base run included: where it does not hold the base run of all prompts, they run one slice after
    the other. When memory runs out all the same, the batch is halved and the sweep goes on.

    Units   The metric's; positive where the edits raised it.
    Raises  UsageError for edits that do not fit the model or the prompts, and for less memory than the
            sweep needs, which the message names.

    >>> prompts = tasks.batches.by_length(task)[0]
    >>> each = [edits.zero(sites.z(0), heads=head) for head in range(4)]
    >>> sweep(model, prompts.clean, each, metrics.logit_difference(prompts)).shape[0]
    4
    """
    given = interventions_of(interventions)
    if base is not None and base.n_interventions != len(given):
        raise UsageError(
            f"the plan is of {base.n_interventions} interventions, the sweep has {len(given)}; "
            "give the plan of this very sweep, or none"
        )
    draft = (
        drafted(model, tokens, given, metric, attention_mask, memory)
        if base is None
        else base.draft
    )
    if (rehearsal := current().rehearsal) is not None:
        work = base or planned(draft)
        rehearsal.append(work)
        return work.value.new_zeros(len(given), work.n_examples)
    with reused_memory(draft.room.requested):
        return _run(draft, draft.parts() if base is None else base.parts())


def _run(draft: Draft, parts: Iterable[Part]) -> Tensor:
    """The effects, one slice of the prompts after the other."""
    n_interventions, n_examples = len(draft.interventions), len(draft.tokens)
    options, halved = current(), [0]
    effects, done, slices_left = None, 0, len(draft.slices)
    for part in parts:
        if effects is None:
            effects = part.base.value.new_zeros(n_interventions, n_examples)
        here, of_slice = effects[:, part.prompts], sum(map(len, part.chunks))
        # Slices to come are taken to be like this one.
        total = done + of_slice * slices_left + len(draft.naive)
        with _packed(draft):
            for numbers, found in _chunk_by_chunk(draft, part, halved):
                # Added, since pieces of one job hold other prompts' effects, and zeros elsewhere.
                here.index_add_(0, numbers, found)
                done += len(numbers)
                if options.progress:
                    options.progress(done, total, "interventions")
            for number in draft.naive:
                here[number] = run_naively(draft.model, part.base, draft.interventions[number])
                done += 1
                if options.progress:
                    options.progress(done, total, "interventions")
        slices_left -= 1
        # The next slice's base run has its place, and finds it in one piece.
        del part
        give_back()
    assert effects is not None
    if halved[0] and options.notes is not None:
        options.notes.append(
            f"memory ran out and {halved[0]} of the batches of {n_interventions} interventions ran "
            "in halves: their effects agree to rounding, not bit by bit, with those of whole batches"
        )
    return effects


@contextmanager
def _packed(draft: Draft) -> Iterator[None]:
    """Packs the weights for the batches alone: the base run is the run that a user sees, bit by bit, so
    that a patch of what is there already is seen to change nothing."""
    unembedding = draft.metric.columns is None
    with packing_within(draft.room.most_packed), packed(draft.model, unembedding):
        yield


def _chunk_by_chunk(
    draft: Draft, part: Part, halved: list[int]
) -> Iterator[tuple[Int[Tensor, " intervention"], Float[Tensor, "intervention example"]]]:
    """Which interventions each batch is of, and their effects on the prompts of the slice; those that
    were saved before are not run again."""
    folder, value = current().checkpoints, part.base.value
    saved = Checkpoint(folder, sweep_key(draft.model, part)) if folder else None
    # Half of the room, since what the layers have freed lies in blocks too small for logits.
    fitting = part.room // 2 // (LOGITS_COPIES * part.base.resid_post.element_size())
    logits_at_once = max(1, min(fitting, MOST_LOGITS))
    for number, chunk in enumerate(part.chunks):
        name = f"chunk-{number:05d}"
        found = saved.load(name, value.new_empty(len(chunk), len(value))) if saved else None
        if found is None:
            found = torch.stack(_halving(draft.model, part.base, chunk, logits_at_once, halved))
            if saved:
                saved.save(name, found)
        yield torch.tensor([job.number for job in chunk], device=value.device), found
    notes = current().notes
    if saved and saved.lost and notes is not None:
        note = f"finished parts of a sweep could not be kept: {saved.lost}"
        notes += [] if note in notes else [note]


def _halving(
    model: Transformer, base: Base, jobs: Sequence[Job], logits_at_once: int, halved: list[int]
) -> list[Tensor]:
    """The chunk's effects; in two halves if memory does not hold it, and so on down to one prompt.
    Counts in `halved` how often that was so."""
    try:
        return run_chunk(model, base, jobs, logits_at_once)
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        if len(jobs) == 1 and len(jobs[0].examples) == 1:
            raise InterpError(
                "out of memory for a single intervention on a single prompt of "
                f"{base.tokens.shape[1]} tokens; use shorter prompts"
            ) from error
    halved[0] += 1
    # Outside the handler, which keeps the failed batch's tensors alive.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(jobs) == 1:
        pieces = jobs[0].pieces((len(jobs[0].examples) + 1) // 2)
        return [torch.stack(_halving(model, base, pieces, logits_at_once, halved)).sum(0)]
    half = len(jobs) // 2
    first = _halving(model, base, jobs[:half], logits_at_once, halved)
    return first + _halving(model, base, jobs[half:], logits_at_once, halved)


def _out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch failed for want of memory, which on a CPU it says only in words."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error) for words in ("not enough memory", "can't allocate memory"))
