"""Which earlier parts of the model make heads attend where they attend most?

Method  Of each head the named position that it attends to most from END, and its score there above the
        mean score of all other keys, decomposed as in `interp.methods.attention`.
Units   Attention in shares of 1; scores as they enter the softmax.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from interp import sites
from interp.components import Head
from interp.methods.attention import ScoreParts, needed, score_parts
from interp.tasks import Task
from interp.tasks.batches import places, whole
from interp.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Preferred:
    """Where a head attends to most from END, how much, and what its score there is made of."""

    head: Head
    position: str
    attention: float
    parts: ScoreParts


@torch.no_grad()
def preferred(model: Transformer, task: Task, heads: Sequence[Head]) -> list[Preferred]:
    """One each for the heads after the first layer, in which nothing comes before; none where no position
    but the first and the last is named.

    >>> len(preferred(model, task, components.heads(model)[-2:]))
    2
    """
    named = {name: at for name, at in places(task).items() if name not in ("BOS", "END")}
    later = [head for head in heads if head.layer > 0] if named else []
    prompts = whole(task, model.device)
    kept = {site for head in later for site in needed(model, head.layer)}
    run = prompts.run(model, keep={*kept, *(sites.pattern(head.layer) for head in later)})
    found = []
    for head in later:
        pattern = run.cache[sites.pattern(head.layer)][range(task.n), head.index, prompts.end]
        shares = pattern.double().cpu().numpy()
        weight = {name: shares[np.arange(task.n), at].mean() for name, at in named.items()}
        place = max(weight, key=weight.__getitem__)
        key = prompts.end.new_tensor(named[place])
        parts = score_parts(model, run, head, prompts.end, key)
        found.append(Preferred(head, place, float(weight[place]), parts))
    return found
