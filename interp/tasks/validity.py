"""Can the model do the task at all? Judged on all prompts, those that choose and those that confirm
together, and never by dropping the wrong ones."""

from dataclasses import dataclass

import numpy as np
import torch

from interp import stats
from interp.tasks import splits
from interp.tasks.base import Task
from interp.tasks.batches import by_length, gathered
from interp.tokenizers import token_text
from interp.transformer import Transformer

# Guessing gets half of them right; at three quarters the answer is the model's doing, not that of a
# few prompts that carry the mean.
LEAST_ACCURACY = 0.75
# Recovery divides by the gap between clean and corrupted; below half a logit it is mostly noise.
LEAST_GAP = 0.5
# Of fewer clusters an interval says how few they are, and not what the model does.
LEAST_CLUSTERS = 6


@dataclass(frozen=True, slots=True)
class Gate:
    """What the model got on the n prompts that are fit, and `refused`: why that will not do, if so.

    `note` says by what it was judged where the interval does not count.

    Units  Accuracy is the share of clean prompts on which the answer's logit is above the wrong
           one's; `clean`, `corrupted` and `gap` (clean minus corrupted) are mean logits of answer
           minus wrong. `clean_each` and `corrupted_each` hold the same for every kept prompt of the
           task, the other two for every one of its confirmation that is not among them; the estimates are
           over both and one prompt or more of each template that neither has.
    """

    n: int
    dropped: int
    accuracy: stats.Estimate | None
    clean: stats.Estimate | None
    corrupted: stats.Estimate | None
    gap: stats.Estimate | None
    refused: str | None
    clean_each: np.ndarray
    corrupted_each: np.ndarray
    confirmation_clean_each: np.ndarray
    confirmation_corrupted_each: np.ndarray
    note: str | None = None


def gate(model: Transformer, task: Task) -> Gate:
    """The model's accuracy and logit differences on the task, its fresh confirming prompts and whatever
    templates are left, and whether they will do."""
    if not task.n:
        none = np.zeros(0)
        why_none = (
            f"none of the {len(task.prompts)} prompts of {task.name} is fit: {task.why_dropped}"
        )
        return Gate(0, task.dropped, None, None, None, None, why_none, none, none, none, none)
    fresh = splits.fresh_confirmation(task)
    judged = [each for each in (task, fresh, splits.left_out(task)) if each is not None]
    measured = [logit_differences(model, each) for each in judged]
    clean_each, corrupted_each = (np.concatenate(both) for both in zip(*measured, strict=True))
    names = [(part, cluster) for part, each in enumerate(judged) for cluster in each.clusters]
    clusters = np.unique(names, axis=0, return_inverse=True)[1]
    here, none = measured[0], np.zeros(0)
    there = (none, none) if fresh is None else measured[1]
    accuracy = stats.share(clean_each > 0, clusters)
    clean = stats.mean(clean_each, clusters)
    corrupted = stats.mean(corrupted_each, clusters)
    gap = stats.mean(clean_each - corrupted_each, clusters)
    few = len(set(clusters)) < LEAST_CLUSTERS
    refused = _refusal(model.name, task, accuracy, clean, gap, few)
    if refused is not None:
        refused = f"{refused}; {_begun(model, task)}"
    return Gate(
        n=len(clean_each),
        dropped=sum(each.dropped for each in judged),
        accuracy=accuracy,
        clean=clean,
        corrupted=corrupted,
        gap=gap,
        refused=refused,
        clean_each=here[0],
        corrupted_each=here[1],
        confirmation_clean_each=there[0],
        confirmation_corrupted_each=there[1],
        note=_few(len(set(clusters))) if few else None,
    )


def _few(clusters: int) -> str:
    which = "one cluster" if clusters == 1 else f"{clusters} clusters"
    return (
        f"judged by accuracy and gap alone: the prompts are of {which} (templates, or prompts that share "
        f"none), and an interval needs {LEAST_CLUSTERS}; more templates make more"
    )


def logit_differences(model: Transformer, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Answer minus wrong at END for each kept prompt, after the clean and the corrupted prompt."""
    found = []
    for batch in by_length(task, model.device):
        pairs = torch.stack([batch.answer, batch.distractor], -1)
        runs = [batch.run(model, corrupted=corrupted) for corrupted in (False, True)]
        read = torch.stack([run.logits[:, 0].double().gather(-1, pairs) for run in runs])
        found.append((batch, read[..., 0] - read[..., 1]))
    clean, corrupted = gathered(task, found)
    return clean, corrupted


def _begun(model: Transformer, task: Task) -> str:
    """What stands before the prompts: not what stood there in training takes answers away."""
    if task.bos is None:
        return "no BOS stands before the prompts (as chosen by --bos auto|yes|no)"
    named = isinstance(model, Transformer) and model.has_tokenizer
    bos = token_text(model.tokenizer, task.bos) if named else f"token {task.bos}"
    return f"{bos} stands before the prompts as their BOS (as chosen by --bos auto|yes|no)"


def _refusal(
    name: str,
    task: Task,
    accuracy: stats.Estimate,
    clean: stats.Estimate,
    gap: stats.Estimate,
    few: bool,
) -> str | None:
    got = (
        f"{name} prefers the right answer on {accuracy.value:.0%} of {accuracy.n} {task.name} prompts, "
        f"by {clean.value:+.2f} logits on average, {gap.value:+.2f} more than after the corrupted "
        "prompts"
    )
    if accuracy.value < LEAST_ACCURACY:
        return f"{got}; under {LEAST_ACCURACY:.0%} right, what carries the answer cannot be asked"
    if gap.value < LEAST_GAP:
        return f"{got}; a gap under {LEAST_GAP} leaves nothing for an intervention to restore"
    if not few and gap.low <= 0:
        return (
            f"{got}; the gap's interval over templates [{gap.low:+.2f}, {gap.high:+.2f}] reaches zero: "
            "the model does it in some templates and not in others, so keep to those of one kind"
        )
    return None
