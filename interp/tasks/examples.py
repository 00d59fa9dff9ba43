"""What effects are measured on, and what statistics ask of it: a task's prompts, or sentence pairs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Half = Literal["discovery", "held_out"]
Each = TypeVar("Each")
Some = TypeVar("Some", bound="Examples[Any]")


class Examples(Generic[Each]):
    """Examples in order, each with its cluster, item, half and variant; a dataclass inherits from this.

    Each of `prompts` says whether it is `kept`, its `cluster` (those of one are resampled together), its
    `item`, `half`, `order` and `template`. `shared` says in plain words what both halves have in common.
    """

    name: str
    prompts: tuple[Each, ...]
    shared: tuple[str, ...] = ()
    # What a page calls them, and what those of one cluster share.
    called: ClassVar[str] = "prompts"
    groups: ClassVar[str] = "templates"

    @cached_property
    def kept(self) -> tuple[Each, ...]:
        """The examples that run, in order."""
        return tuple(filter(attrgetter("kept"), self.prompts))

    @property
    def n(self) -> int:
        """How many run."""
        return len(self.kept)

    @cached_property
    def clusters(self) -> np.ndarray:
        """For each kept example the number of its cluster, which statistics resample whole."""
        import numpy as np

        return np.array(_numbered(self._each("cluster")), dtype=np.int64)

    @cached_property
    def items(self) -> np.ndarray | None:
        """For each kept example the number of its item, or None if none has one."""
        import numpy as np

        items = self._each("item")
        if not any(items):
            return None
        names = [item or index for index, item in enumerate(items)]
        return np.array(_numbered(names), dtype=np.int64)

    @property
    def confirmation(self) -> Examples[Each]:
        """Those on which components chosen on these are confirmed.

        Raises  NotApplicable, with the reason and the way out, if there are too few.
        """
        raise NotImplementedError

    def frame(self) -> pd.DataFrame:
        """One row for each, kept or not."""
        raise NotImplementedError

    def where(
        self, *, half: Half | None = None, order: str | None = None, template: str | None = None
    ) -> np.ndarray:
        """For each kept example whether it is of this half, order and template."""
        import numpy as np

        found = np.ones(self.n, dtype=bool)
        for name, wanted in (("half", half), ("order", order), ("template", template)):
            if wanted is not None:
                found &= np.array([each == wanted for each in self._each(name)], dtype=bool)
        return found

    def evenly(self: Some, n: int) -> Some:
        """The same with n of them, or all if there are no more: from each cluster in turn."""
        import numpy as np

        clusters = self.clusters
        turn = np.array([(clusters[:at] == clusters[at]).sum() for at in range(self.n)])
        taken = np.zeros(self.n, dtype=bool)
        taken[np.argsort(turn, kind="stable")[:n]] = True
        return self.only(taken)

    def only(self: Some, where: np.ndarray) -> Some:
        """The same with those of the kept examples for which `where` is true."""
        some = tuple(each for each, wanted in zip(self.kept, where, strict=True) if wanted)
        return replace(self, prompts=some)  # type: ignore[type-var]

    def at_most(self: Some, each: int) -> Some:
        """The same with no more than the first so many of every cluster."""
        import pandas as pd

        return self.only(
            (pd.Series(self.clusters).groupby(self.clusters).cumcount() < each).to_numpy()
        )

    def _each(self, name: str) -> list[Any]:
        return [getattr(each, name) for each in self.kept]


def _numbered(names: Sequence[Hashable]) -> list[int]:
    number = {name: rank for rank, name in enumerate(dict.fromkeys(names))}
    return [number[name] for name in names]
