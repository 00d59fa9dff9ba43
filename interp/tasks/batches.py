"""Prompts as tensors: the one way from a task to what a model runs on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.edits import Edit
from interp.errors import UsageError
from interp.sites import Site
from interp.tasks.base import Prompt, Task
from interp.transformer import Run, Transformer

# Activations of this many prompts are held at a time.
_MOST = 64
# What the first position is called, which prompts do not name themselves.
FIRST = "first"
# What it is called where only a BOS that the task puts there is meant.
BOS = "BOS"


@dataclass(frozen=True, slots=True, eq=False)
class PromptBatch:
    """Pairs of prompts, padded on the right to one length; `indices` are their places in `task.kept`.

    `real` is false on padding. After the token at `end` each prompt's answer is read.
    """

    indices: tuple[int, ...]
    prompts: tuple[Prompt, ...]
    clean: Int[Tensor, "batch pos"]
    corrupted: Int[Tensor, "batch pos"]
    real: Bool[Tensor, "batch pos"]
    end: Int[Tensor, " batch"]
    answer: Int[Tensor, " batch"]
    distractor: Int[Tensor, " batch"]

    def __len__(self) -> int:
        return len(self.clean)

    @classmethod
    def of_tokens(
        cls,
        clean: Int[Tensor, "batch pos"],
        corrupted: Int[Tensor, "batch pos"],
        answer: Int[Tensor, " batch"],
        distractor: Int[Tensor, " batch"],
        real: Bool[Tensor, "batch pos"] | None = None,
    ) -> "PromptBatch":
        """Prompts of no task, which have no text and no named positions; without `real` none is padded."""
        real = torch.ones_like(clean, dtype=torch.bool) if real is None else real
        indices, end = tuple(range(len(clean))), real.sum(-1) - 1
        return cls(indices, (), clean, corrupted, real, end, answer, distractor)

    def only(self, some: slice) -> "PromptBatch":
        """The same with some of the prompts."""
        return PromptBatch(*(getattr(self, each.name)[some] for each in fields(self)))

    def run(
        self,
        model: Transformer,
        keep: Iterable[Site] = (),
        edits: Iterable[Edit] = (),
        *,
        corrupted: bool = False,
    ) -> Run:
        """The model on all clean prompts, or on all corrupted ones, with logits at each one's end."""
        return model.run(
            self.corrupted if corrupted else self.clean,
            edits,
            keep,
            logits_at=self.end[:, None],
            attention_mask=self.real,
        )

    def position(self, name: str) -> Int[Tensor, " batch"]:
        """Where a named position is in each prompt; FIRST is position 0.

        Raises  UsageError if some prompt has no position of that name.
        """
        if name == FIRST:
            return torch.zeros_like(self.end)
        for prompt in self.prompts:
            if name not in prompt.positions:
                raise UsageError(
                    f"no position is called {name!r} in {prompt.clean!r}; "
                    f"it has {', '.join(prompt.positions)}"
                )
        found = [prompt.positions[name] for prompt in self.prompts]
        return torch.tensor(found, device=self.end.device)


def whole(task: Task, device: torch.device | str = "cpu") -> PromptBatch:
    """All kept prompts as one batch, in the task's order, padded."""
    return _batch(task, range(task.n), device)


def by_length(task: Task, device: torch.device | str = "cpu") -> list[PromptBatch]:
    """The kept prompts by length: without padding, so that nothing is computed for it."""
    together: dict[int, list[int]] = {}
    for index, prompt in enumerate(task.kept):
        together.setdefault(len(prompt.clean_tokens), []).append(index)
    return _batches(task, [indices for _, indices in sorted(together.items())], device)


def aligned(task: Task, device: torch.device | str = "cpu") -> list[PromptBatch]:
    """The kept prompts of one template and variant whose tokens and named positions align."""
    together: dict[tuple[object, ...], list[int]] = {}
    for index, prompt in enumerate(task.kept):
        places = tuple(sorted(prompt.positions.items()))
        key = (prompt.template, prompt.order, len(prompt.clean_tokens), places)
        together.setdefault(key, []).append(index)
    return _batches(task, together.values(), device)


def gathered(
    task: Task, parts: Iterable[tuple[PromptBatch, Float[Tensor, "intervention batch"]]]
) -> Float[np.ndarray, "intervention example"]:
    """What was measured on each batch, in the order of the kept prompts."""
    columns: dict[int, np.ndarray] = {}
    for batch, measured in parts:
        each = measured.T.double().cpu().numpy()
        columns |= dict(zip(batch.indices, each, strict=True))
    return np.stack([columns[index] for index in range(task.n)], axis=-1)


def named_positions(task: Task) -> list[str]:
    """The names that all kept prompts have, in the order of the first prompt."""
    shared = set.intersection(*(set(prompt.positions) for prompt in task.kept))
    order = task.kept[0].positions
    return sorted(shared, key=lambda name: order[name])


def labels(task: Task) -> list[str]:
    """The same after FIRST.

    Raises  UsageError if FIRST is among them.
    """
    named = named_positions(task)
    if FIRST in named:
        raise UsageError(f"{FIRST!r} is what position 0 is called here; rename that position")
    return [FIRST, *named]


def places(task: Task) -> dict[str, list[int]]:
    """Where each named position is in each kept prompt, after BOS where the task puts one first."""
    begin = {} if task.bos is None else {BOS: [0] * task.n}
    return begin | {
        name: [prompt.positions[name] for prompt in task.kept] for name in named_positions(task)
    }


def _batches(
    task: Task, groups: Iterable[Sequence[int]], device: torch.device | str
) -> list[PromptBatch]:
    return [
        _batch(task, indices[start : start + _MOST], device)
        for indices in groups
        for start in range(0, len(indices), _MOST)
    ]


def _batch(task: Task, indices: Sequence[int], device: torch.device | str) -> PromptBatch:
    prompts = tuple(task.kept[index] for index in indices)
    lengths = [len(prompt.clean_tokens) for prompt in prompts]
    longest = max(lengths)

    def tensor(values: Sequence[object]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    def padded(rows: Iterable[tuple[int, ...]]) -> Tensor:
        return tensor([list(row) + [0] * (longest - len(row)) for row in rows])

    return PromptBatch(
        tuple(indices),
        prompts,
        padded(prompt.clean_tokens for prompt in prompts),
        padded(prompt.corrupted_tokens for prompt in prompts),
        torch.arange(longest, device=device)[None] < tensor(lengths)[:, None],
        tensor(lengths) - 1,
        tensor([prompt.answer_token for prompt in prompts]),
        tensor([prompt.wrong_token for prompt in prompts]),
    )
