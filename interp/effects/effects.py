"""What each of several components does to each prompt: a table of numbers that knows its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from interp import stats
from interp.errors import UsageError
from interp.stats import Estimate
from interp.tasks.examples import Examples

if TYPE_CHECKING:
    from interp.effects.selection import Selection


@dataclass(frozen=True, eq=False)
class Effects:
    """`values` of every component on every kept prompt of the task, or on other examples. A component, or
    whatever else a row is of (a cell of a patching grid, a path), has a `columns()` that begin its row of a
    table. `strata` says within which components are alike (by default their layers): what a random choice
    is matched by. `named` has the columns that name the components in tables, where they are not the
    components' own. Where effects are not `signed` (a divergence, which no edit makes less than 0), zero is
    no null of theirs: they have no p-value against it.

    Units   `unit`; edited minus base run.
    Raises  UsageError for values of another shape than components and prompts, and for NaN among them.
    """

    values: Float[np.ndarray, "component example"]
    components: Sequence[Any]
    task: Examples[Any]
    unit: str = "logits"
    strata: Int[np.ndarray, " component"] | None = None
    named: pd.DataFrame | None = None
    signed: bool = True

    def __post_init__(self) -> None:
        expected = (len(self.components), self.task.n)
        if self.values.shape != expected:
            raise UsageError(
                f"expected effects of {expected[0]} components on {expected[1]} prompts, "
                f"got {list(self.values.shape)}"
            )
        if not np.isfinite(self.values).all():
            raise UsageError("effects must be finite; some are NaN or infinite")

    def __len__(self) -> int:
        return len(self.components)

    def __sub__(self, other: Effects) -> Effects:
        """The effects that are left when those of the other are taken away, component by component."""
        return replace(self, values=self.values - other.values, signed=True)

    @cached_property
    def names(self) -> pd.DataFrame:
        """One row a component, with the columns that name it."""
        if self.named is not None:
            return self.named.reset_index(drop=True)
        frame = pd.DataFrame([dict(each.columns()) for each in self.components])
        return frame.convert_dtypes() if frame.isna().any(axis=None) else frame

    def mean(self) -> Float[np.ndarray, " component"]:
        """The mean over prompts, which a map shows; an interval is of the mean of clusters' means."""
        mean: np.ndarray = self.values.mean(-1)
        return mean

    def interval(self, seed: int = 0) -> Estimate:
        """Every component's mean of clusters' means, with interval and, where effects are signed, p-value."""
        found = stats.mean(self.values, self.task.clusters, self.task.items, seed=seed)
        return found if self.signed else replace(found, p=None)

    def frame(self, seed: int = 0) -> pd.DataFrame:
        """names, effect, ci_low, ci_high, p_corrected (for all rows), and pooled for unequal templates."""
        task = self.task
        found = stats.table(self.values, task.clusters, task.items, signed=self.signed, seed=seed)
        return self.beside(found.drop(columns=["p", "n"]))

    def beside(self, found: pd.DataFrame) -> pd.DataFrame:
        """These columns, after those that name the components."""
        return pd.concat([self.names, found.reset_index(drop=True)], axis=1)

    def by_variant(self) -> dict[str, Effects]:
        """The same for the prompts of each variant (such as ABBA and BABA), in the order in which they
        first come; one without a name if the task has none.

        >>> done = methods.ablate.ablate(model, task, components.heads(model), ["resample"])
        >>> list(done.effects["resample"].by_variant())
        ['ABBA', 'BABA']
        """
        found = dict.fromkeys(prompt.order for prompt in self.task.kept)
        return {name: self.where(self.task.where(order=name)) for name in found}

    def where(self, prompts: Bool[np.ndarray, " example"]) -> Effects:
        """The same on some of the prompts."""
        return replace(self, values=self.values[:, prompts], task=self.task.only(prompts))

    def only(self, rows: Sequence[int] | Int[np.ndarray, " label"] | slice) -> Effects:
        """The same for some of the components, in this order."""
        rows = np.arange(len(self))[rows]
        return replace(
            self,
            values=self.values[rows],
            components=[self.components[row] for row in rows],
            strata=None if self.strata is None else self.strata[rows],
            named=None if self.named is None else self.named.iloc[rows],
        )

    def largest(self, top: int) -> Effects:
        """The `top` of largest magnitude on these very prompts, whose sizes that flatters: for a picture."""
        means = stats.cluster_means(self.values, self.task.clusters).mean(-1)
        return self.only(np.argsort(-np.abs(means), kind="stable")[:top])

    def of_any_layer(self) -> Effects:
        """The same, with components that count as alike whatever their layer: there is one a layer."""
        return replace(self, strata=np.zeros(len(self), dtype=np.int64))

    def select(self, top: int, *, lowering: bool = False) -> Selection:
        """The `top` components by magnitude of their mean effect on the discovery half; of those with a
        negative one alone, which may be fewer or none, if they have to be `lowering`.

        Raises  NotApplicable, with the reason and the way out, if the task cannot hold prompts out.

        >>> done = methods.ablate.ablate(model, task, components.heads(model), ["resample"])
        >>> len(done.effects["resample"].select(3))
        3
        """
        from interp.effects.selection import select

        return select(self, top, lowering)


def layers(names: pd.DataFrame) -> Int[np.ndarray, " component"]:
    """The layer of every component, within which they are alike."""
    return names["layer"].to_numpy(dtype=np.int64)
