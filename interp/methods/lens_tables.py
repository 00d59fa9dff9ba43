"""What the lens shows as tables, over prompts and of one prompt; and over which layers the answer rises.

Units   Nats; the gains are in logits of answer minus wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from interp import stats
from interp.effects.test import without_interval
from interp.methods.lens import Lens, logit_differences
from interp.stats import Estimate
from interp.stats.verdict import LEAST_CONFIRMING
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, places, whole
from interp.transformer import Transformer

_THIRDS = 3


@dataclass(frozen=True, slots=True)
class Gains:
    """What answer − wrong gains over the last third of the layers, before, and there more than before."""

    late: Estimate
    early: Estimate
    more: Estimate


def gains(model: Transformer, task: Task, seed: int = 0) -> Gains | None:
    """The means over a task's prompts, without intervals on too few groups of them; None for a model that
    has not three layers."""
    if model.config.n_layers < _THIRDS:
        return None
    apart = logit_differences(model, whole(task, model.device)).cpu().numpy()
    two_thirds = round((len(apart) - 1) * 2 / 3)
    late, early = apart[-1] - apart[two_thirds], apart[two_thirds] - apart[0]
    found = [
        stats.mean(each, task.clusters, task.items, seed=seed)
        for each in (late, early, late - early)
    ]
    enough = found[0].clusters >= LEAST_CONFIRMING
    return Gains(*(each if enough else without_interval(each) for each in found))


def by_layer(seen: Lens, prompts: PromptBatch, task: Task, seed: int = 0) -> pd.DataFrame:
    """One row a layer: what the lens shows at the last token of the answer, the distractor and a third token,
    in this order, over prompts; answer_top is a share of prompts."""
    rows = range(len(prompts))

    def at_end(values: Tensor) -> np.ndarray:
        found: np.ndarray = values[..., rows, prompts.end].double().cpu().numpy()
        return found

    log_prob, rank = at_end(seen.log_prob), at_end(seen.rank)
    frame = pd.DataFrame({"layer": range(log_prob.shape[1])})
    measured = {
        "answer_log_prob": log_prob[0],
        "wrong_log_prob": log_prob[1],
        "random_log_prob": log_prob[2],
        "logit_difference": log_prob[0] - log_prob[1],
        "kl": at_end(seen.kl),
        "entropy": at_end(seen.entropy),
    }
    for name, values in measured.items():
        each = stats.mean(values, task.clusters, seed=seed)
        frame[name], frame[f"{name}_low"], frame[f"{name}_high"] = each.value, each.low, each.high
    frame["answer_rank_median"] = np.median(rank[0], axis=-1)
    frame["answer_top"] = (rank[0] == 1).mean(-1)
    return frame.assign(n=len(prompts))


def first_kept(share: Sequence[float] | pd.Series) -> str:
    """The first layer from which on the share stays above a half, or `never`."""
    over = np.asarray(share) > 0.5
    if not over[-1]:
        return "never"
    below = np.flatnonzero(~over)
    return str(int(below[-1]) + 1 if len(below) else 0)


def of_prompt(
    model: Transformer, task: Task, tokens: Tensor, seen: Lens, example: int
) -> pd.DataFrame:
    """lens.csv: one prompt, one row a layer and position, whose label is its name in the task, or the token
    there where it has none."""
    words = model.to_str_tokens(tokens)
    names = {at[example]: name for name, at in places(task).items()}
    names |= {at: name for name, at in task.kept[example].positions.items()}
    n_layers, n_pos = len(seen.top), len(words)

    def cells(values: Tensor) -> np.ndarray:
        found: np.ndarray = values[:, example, :n_pos].double().cpu().numpy().ravel()
        return found

    top = seen.top[:, example, :n_pos].flatten().tolist()
    return pd.DataFrame(
        {
            "layer": np.repeat(np.arange(n_layers), n_pos),
            "position": np.tile(np.arange(n_pos), n_layers),
            "label": [names.get(at, word) for at, word in enumerate(words)] * n_layers,
            "top_token": [model.to_single_str_token(token) for token in top],
            "answer_rank": cells(seen.rank[0]).astype(np.int64),
            "answer_log_prob": cells(seen.log_prob[0]),
            "kl": cells(seen.kl),
            "entropy": cells(seen.entropy),
        }
    )
