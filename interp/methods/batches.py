"""A task's kept prompts in batches without padding, and what was measured on them put together again.

Prompts of one length run together: nothing is computed for padding, and a sweep over many
interventions makes tall products out of small batches anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.metrics import LogitDifference
from interp.tasks import Prompt, Task

# Activations of this many prompts are held at a time.
_MOST = 64


@dataclass(frozen=True, eq=False)
class Batch:
    """Prompts of one length; `indices` are their places in `task.kept`."""

    indices: tuple[int, ...]
    prompts: tuple[Prompt, ...]
    clean: Int[Tensor, "batch pos"]
    corrupted: Int[Tensor, "batch pos"]
    metric: LogitDifference


def by_length(task: Task, device: torch.device) -> list[Batch]:
    """The kept prompts by length, so that positions mean the same within a batch."""
    together: dict[int, list[int]] = {}
    for index, prompt in enumerate(task.kept):
        together.setdefault(len(prompt.clean_tokens), []).append(index)
    return [
        _batch(task, indices[start : start + _MOST], device)
        for _, indices in sorted(together.items())
        for start in range(0, len(indices), _MOST)
    ]


def aligned(task: Task, device: torch.device) -> list[Batch]:
    """The kept prompts of one template whose named positions are the same."""
    return [
        _batch(task, group.indices[start : start + _MOST], device)
        for group in task.groups()
        for start in range(0, len(group.indices), _MOST)
    ]


def gathered(
    task: Task, parts: Iterable[tuple[Batch, Float[Tensor, "intervention batch"]]]
) -> Float[np.ndarray, "intervention example"]:
    """What was measured on each batch, in the order of the kept prompts."""
    columns: dict[int, np.ndarray] = {}
    for batch, measured in parts:
        each = measured.T.double().cpu().numpy()
        columns |= dict(zip(batch.indices, each, strict=True))
    return np.stack([columns[index] for index in range(task.n)], axis=-1)


def _batch(task: Task, indices: Sequence[int], device: torch.device) -> Batch:
    prompts = tuple(task.kept[index] for index in indices)

    def tensor(rows: Sequence[object]) -> Tensor:
        return torch.tensor(rows, device=device)

    answers = [prompt.answer_token for prompt in prompts]
    wrongs = [prompt.wrong_token for prompt in prompts]
    return Batch(
        tuple(indices),
        prompts,
        tensor([prompt.clean_tokens for prompt in prompts]),
        tensor([prompt.corrupted_tokens for prompt in prompts]),
        LogitDifference(tensor(answers), tensor(wrongs)),
    )
