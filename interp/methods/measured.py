"""What any metric says of whole runs, beside the logit difference that is read off the last stream."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.edits import Edit
from interp.metrics import LogitDifference, Metric
from interp.tasks.batches import PromptBatch
from interp.transformer import Transformer

# Logits taken to float64 at a time, where a metric can be measured on some prompts after the others.
_AT_ONCE = 2**25
# A metric knows the answers of its prompts, so methods are given what makes one of each batch.
Measure = Callable[[PromptBatch], Metric]


def read_off_the_stream(metric: Metric) -> bool:
    """Whether it is the logit difference at each prompt's end, the only metric with direct effects."""
    at = metric.at if type(metric) is LogitDifference else None
    return isinstance(at, int) and at == -1


def counts(metric: Metric | None) -> dict[str, Any]:
    """What `Effects` of this metric say of their numbers; without one they are logits."""
    return {} if metric is None else {"unit": metric.unit, "signed": not metric.never_negative}


@torch.no_grad()
def value(
    model: Transformer,
    metric: Metric,
    tokens: Int[Tensor, "batch pos"],
    edits: Iterable[Edit] = (),
    base: Int[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, " batch"]:
    """The metric of every prompt of one run, in float64; the base run is that of `base`, by default of
    the same tokens, without edits."""
    at, edits = metric.positions(torch.ones_like(tokens, dtype=torch.bool)), tuple(edits)
    before = logits = model.run(tokens, edits, logits_at=at).logits
    if metric.compares and (edits or base is not None):
        before = model.run(tokens if base is None else base, logits_at=at).logits
    rows, size = len(logits), len(logits)
    if metric.divisible:
        size = max(1, _AT_ONCE * rows // max(1, logits.numel()))
    pieces = [slice(first, first + size) for first in range(0, rows, size)]
    found = []
    for some in pieces:
        part = metric.only(some) if metric.divisible else metric
        found.append(_of_logits(part, before[some], logits[some]))
    return torch.cat(found)


def _of_logits(metric: Metric, before: Tensor, logits: Tensor) -> Float[Tensor, " batch"]:
    metric, logits = metric.bound(before.double()), logits.double()
    if (columns := metric.columns) is not None:
        wanted = columns.to(logits.device)[:, None].expand(-1, logits.shape[1], -1)
        logits = logits.gather(-1, wanted)
    return metric(logits, torch.arange(len(logits), device=logits.device))
