"""What a task is: prompts with a known right and wrong answer, in aligned pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from interp.errors import UsageError, nearest
from interp.tasks.examples import Examples, Half

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from interp.tasks.splits import BuiltIn

# So many reasons, and places of each, are told; `prompts.csv` has all of them.
_SAID = 3
# The columns of `prompts.csv` before those of named positions.
_TOKENS = ("clean_tokens", "corrupted_tokens")
_COLUMNS = (
    *("clean", "corrupted", "answer", "wrong", *_TOKENS, "answer_token", "wrong_token"),
    *("template", "order", "kept", "reason", "cluster", "item", "half"),
)
# The three disjoint parts of a built-in task; a prompt of a file is of none.
Part = Literal["", "discovery", "held_out", "confirmation"]
Pool = Mapping[Hashable, tuple[tuple[int, ...], ...]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One pair of prompts, as text and as the tokens that the model reads, BOS included.

    `positions` names token positions that mean the same in both prompts; END is the last token,
    after which the answer is read. `template` and `order` say which sentence it is; prompts of one
    `cluster` share what chance decided (by default their template) and are resampled together.
    `others` are further corruptions by their names, each as text and as tokens. `item` is the filler
    that carries the answer, and `fillers` are all words that were put into slots of either prompt.
    `place` is the line or entry of the file that it was read from.
    """

    clean: str
    corrupted: str
    answer: str
    wrong: str
    clean_tokens: tuple[int, ...]
    corrupted_tokens: tuple[int, ...]
    answer_token: int | None
    wrong_token: int | None
    template: str
    cluster: str
    order: str = ""
    positions: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    half: Half = "discovery"
    part: Part = ""
    item: str = ""
    fillers: frozenset[str] = frozenset()
    reason: str = ""
    place: str = ""

    @property
    def kept(self) -> bool:
        """True if the prompt is structurally fit; otherwise `reason` says what it lacks."""
        return not self.reason

    def corrupted_by(self, name: str) -> Prompt:
        """The same prompt with another of its corruptions."""
        text, tokens = self.others[name]
        return replace(self, corrupted=text, corrupted_tokens=tokens)

    @property
    def pool_key(self) -> Hashable:
        """Where in `task.pool` the corrupted prompts are over which its mean is taken."""
        return self.template, self.part, len(self.clean_tokens)


@dataclass(frozen=True)
class Task(Examples[Prompt]):
    """A question put to a model in prompts: all of them, the unfit ones with their reason.

    `bos` is the token put before every prompt, or None if the tokenizer has none to put. `shared`
    says in plain words what discovery, held-out and confirming prompts have in common because the
    task or the tokenizer leaves no choice. `source` makes further prompts of a built-in task, and
    `whole` are all prompts that these were taken from.
    """

    name: str
    question: str
    prompts: tuple[Prompt, ...]
    bos: int | None
    shared: tuple[str, ...] = ()
    source: BuiltIn | None = field(default=None, repr=False, compare=False)
    corruption: str = ""
    whole: tuple[Prompt, ...] = field(default=(), repr=False, compare=False)

    @property
    def dropped(self) -> int:
        """How many prompts are structurally unfit."""
        return len(self.prompts) - self.n

    @property
    def reasons(self) -> dict[str, int]:
        """How many prompts were dropped for each reason."""
        return dict(Counter(prompt.reason for prompt in self.prompts if not prompt.kept))

    @property
    def why_dropped(self) -> str:
        """Why prompts were dropped, how many for each reason and where the first of them stand, in few
        words however many they are; empty if none was."""
        places: dict[str, list[str]] = {}
        for prompt in self.prompts:
            if not prompt.kept:
                places.setdefault(prompt.reason, []).append(prompt.place)
        said = []
        for reason, every in list(places.items())[:_SAID]:
            words = [place for place in every[:_SAID] if place]
            words += [f"{len(every) - _SAID} more"] if words and len(every) > _SAID else []
            said.append(f"{reason} ({len(every)}){': ' if words else ''}{', '.join(words)}")
        if len(places) > _SAID:
            said.append(f"and {len(places) - _SAID} other reasons")
        return "; ".join(said)

    @cached_property
    def confirmation(self) -> Task:
        """The prompts on which components chosen on this task's are confirmed: fresh ones of a
        built-in task, those of the held-out half of a file.

        Raises  NotApplicable, with the reason and the way out, if there are too few.
        """
        from interp.tasks import splits

        return splits.confirmation(self)

    @cached_property
    def pool(self) -> Pool:
        """By `pool_key` the different corrupted prompts over which means are taken, as tokens: drawn
        for the purpose for a built-in task, so that none is a prompt of it; of a file all that
        it has, so that whoever takes a mean leaves out the prompt's own."""
        from interp.tasks import pools

        return pools.pool(self)

    def only(self, where: np.ndarray) -> Task:
        """The same task with those of its kept prompts for which `where` is true."""
        return replace(super().only(where), whole=self.whole or self.prompts)

    def corrupted_by(self, name: str) -> Task:
        """The same prompts with another corruption of theirs; the task's name says so.

        Raises  UsageError for a corruption that its prompts do not have.
        """
        known = list(dict.fromkeys(each for prompt in self.prompts for each in prompt.others))
        if name not in known:
            raise UsageError(
                f"{self.name} has no other corruption called {name!r}; "
                + (nearest(name, known) if known else "it has one alone")
            )
        return replace(
            self,
            name=f"{self.name}-{name}",
            corruption=name,
            prompts=tuple(prompt.corrupted_by(name) for prompt in self.prompts),
            whole=tuple(prompt.corrupted_by(name) for prompt in self.whole),
        )

    def frame(self) -> pd.DataFrame:
        """Every prompt, kept or not, as one row of `prompts.csv`; token ids are space-separated, and
        `pos_NAME` is the index of a named token as run (that of END is always the last one's)."""
        import pandas as pd

        named = dict.fromkeys(name for prompt in self.prompts for name in prompt.positions)
        named.pop("END", None)
        places = {f"pos_{name}": "Int64" for name in named}
        rows = [
            {name: getattr(prompt, name) for name in _COLUMNS}
            | {name: " ".join(map(str, getattr(prompt, name))) for name in _TOKENS}
            | {f"pos_{name}": prompt.positions.get(name) for name in named}
            for prompt in self.prompts
        ]
        whole = dict.fromkeys(("answer_token", "wrong_token"), "Int64")
        return pd.DataFrame(rows).astype(whole | places)


def task_of(examples: Examples[Any]) -> Task:
    """The examples, if they are the prompts of a task.

    Raises  UsageError for others, which have no tokens and answers to run a model on.
    """
    if isinstance(examples, Task):
        return examples
    raise UsageError(
        f"expected the prompts of a task, got {examples.name}, which are {examples.called}"
    )
