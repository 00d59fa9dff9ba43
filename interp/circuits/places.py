"""Where in the prompts an edge is: at one position, at a named one, or in a span between two.

Every position of a prompt belongs to exactly one place, so that what is told apart by place adds up to what
is not. Positions that no name has are one place together, ELSEWHERE.

Source  Haklay et al. 2025, Position-aware Automatic Circuit Discovery, arXiv:2502.04577 (spans shared by
        prompts of one schema).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.errors import UsageError, brief
from interp.tasks import Task
from interp.tasks.batches import PromptBatch, by_length, named_positions

ELSEWHERE = "elsewhere"
End = Union[int, str]


@dataclass(frozen=True)
class Span:
    """A place from one position to another, both of them in it; each is an index, or a name of the task's."""

    name: str
    first: End
    last: End


@dataclass(frozen=True, eq=False)
class Places:
    """The places of a task's prompts. `reaches` says from which place some head of some prompt can read at
    which, and `read` in which places logits are read."""

    spans: tuple[Span, ...]
    reaches: Bool[np.ndarray, "place place"]
    read: Bool[np.ndarray, " place"]

    @property
    def names(self) -> tuple[str, ...]:
        """What the places are called, in the order of their numbers."""
        named = tuple(each.name for each in self.spans)
        return named if len(named) == len(self.read) else (*named, ELSEWHERE)

    def __len__(self) -> int:
        return len(self.read)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Places) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def every(cls, task: Task) -> Places:
        """Each position by itself, called by its number.

        Raises  UsageError for prompts of several lengths, whose positions are not the same ones.
        """
        lengths = {len(prompt.clean_tokens) for prompt in task.kept}
        if len(lengths) > 1:
            raise UsageError(
                f"prompts of {min(lengths)} to {max(lengths)} tokens have no positions in common; name the "
                "places, such as those of the task, or keep prompts of one length"
            )
        (n_pos,) = lengths
        return cls._of(task, tuple(Span(str(pos), pos, pos) for pos in range(n_pos)))

    @classmethod
    def named(
        cls, task: Task, places: Sequence[str] | Mapping[str, str | tuple[str, str]]
    ) -> Places:
        """Named positions of the task, and spans from one to another: {"names": ("IO", "S1")}.

        Raises  UsageError for names that the prompts have not, for a span that ends before it begins, and
                for places that share a position.
        """
        given = places if isinstance(places, Mapping) else {name: name for name in places}
        if ELSEWHERE in given:
            raise UsageError(f"{ELSEWHERE!r} is the place of all positions without a name")
        spans = []
        for name, ends in given.items():
            first, last = (ends, ends) if isinstance(ends, str) else ends
            spans.append(Span(name, first, last))
        return cls._of(task, tuple(spans))

    @classmethod
    def apart(cls, task: Task) -> Places:
        """The named positions of the task, END first of all; without those that share a position with one
        that is there, and those that some prompt has not."""
        found = {"END": [prompt.positions["END"] for prompt in task.kept]}
        for name in named_positions(task):
            own = [prompt.positions[name] for prompt in task.kept]
            if not any(
                each == mine
                for other in found.values()
                for each, mine in zip(other, own, strict=True)
            ):
                found[name] = own
        return cls.named(task, [name for name in named_positions(task) if name in found])

    @classmethod
    def _of(cls, task: Task, spans: tuple[Span, ...]) -> Places:
        n = len(spans) + 1
        reaches, read = np.zeros((n, n), dtype=bool), np.zeros(n, dtype=bool)
        used = np.zeros(n, dtype=bool)
        for batch in by_length(task):
            place = _placed(spans, batch).numpy()
            used[place] = True
            read[place[np.arange(len(place)), batch.end.numpy()]] = True
            for key in range(place.shape[1]):
                for query in range(key, place.shape[1]):
                    reaches[place[:, key], place[:, query]] = True
        last = n if used[-1] else n - 1
        return cls(spans, reaches[:last, :last], read[:last])

    def of(self, batch: PromptBatch) -> Int[Tensor, "batch pos"]:
        """The number of the place that each position belongs to.

        Raises  UsageError for prompts in which a place is missing, or that have positions outside all.
        """
        found = _placed(self.spans, batch)
        if int(found.max()) >= len(self):
            raise UsageError(
                f"a prompt of {found.shape[1]} tokens has positions in none of the places "
                f"{brief(', '.join(self.names))}; make the places from the task that it is of"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data from which `from_dict` makes equal places."""
        return {
            "spans": [[each.name, each.first, each.last] for each in self.spans],
            "reaches": self.reaches.astype(int).tolist(),
            "read": self.read.astype(int).tolist(),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Places:
        """The places that `to_dict` described.

        Raises  UsageError for data of another form.
        """
        try:
            spans = tuple(Span(str(name), first, last) for name, first, last in data["spans"])
            reaches = np.array(data["reaches"], dtype=bool)
            read = np.array(data["read"], dtype=bool)
        except (TypeError, ValueError, KeyError):
            raise UsageError(
                f"expected places with spans, reaches and read, got {brief(data)}"
            ) from None
        ends = [end for each in spans for end in (each.first, each.last)]
        sized = reaches.shape == (len(read),) * 2 and len(read) - len(spans) in (0, 1) and len(read)
        if not sized or not all(type(end) in (int, str) for end in ends):
            raise UsageError(f"expected places with spans, reaches and read, got {brief(data)}")
        return cls(spans, reaches, read)


def _placed(spans: Sequence[Span], batch: PromptBatch) -> Int[Tensor, "batch pos"]:
    """The number of each position's span; one more than there are spans for those in none."""
    every = torch.arange(batch.clean.shape[1], device=batch.end.device)
    found = torch.full_like(batch.clean, len(spans))
    for number, span in enumerate(spans):
        first, last = (_at(end, batch)[:, None] for end in (span.first, span.last))
        within = (first <= every) & (every <= last)
        if not bool(within.any(-1).all()):
            raise UsageError(
                f"the place {brief(span.name)} has no position in some prompt: {span.first} is after "
                f"{span.last}, or beyond its end"
            )
        taken = within & (found < len(spans))
        if bool(taken.any()):
            other = spans[int(found[taken][0])].name
            raise UsageError(
                f"the places {brief(other)} and {brief(span.name)} share a position of some prompt; every "
                "position belongs to one place"
            )
        found[within] = number
    return found


def _at(end: End, batch: PromptBatch) -> Int[Tensor, " batch"]:
    return batch.position(end) if isinstance(end, str) else torch.full_like(batch.end, end)
