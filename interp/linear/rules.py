"""What a backward pass takes for the slope of the parts that are not linear: rules, as values.

The true slope of everything is `TRUE`. `frozen("norm")` takes the scales of norms as constants of the run,
`frozen("pattern")` the attention patterns, so that nothing flows back into queries and keys, and several can
be frozen together. A rule changes what flows back and nothing of what is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from interp.edits import Edit
from interp.errors import UsageError
from interp.sites import Site
from interp.transformer.hooks import RunHooks

Part = Literal["norm", "pattern"]
# The kinds of sites whose activations are constants of the run where a part is frozen.
_SITES: dict[Part, tuple[str, ...]] = {
    "norm": ("ln1_scale", "ln2_scale", "final_scale"),
    "pattern": ("pattern",),
}


@dataclass(frozen=True)
class Rules:
    """The parts that are frozen."""

    frozen: frozenset[Part] = field(default_factory=frozenset)

    @property
    def scores_queries(self) -> bool:
        """Whether anything flows back into queries and keys."""
        return "pattern" not in self.frozen

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of sites at which nothing flows back."""
        return frozenset(kind for part in self.frozen for kind in _SITES[part])


TRUE = Rules()


def frozen(*parts: Part) -> Rules:
    """The rules that freeze these parts.

    Raises  UsageError for another part.
    """
    for part in parts:
        if part not in _SITES:
            raise UsageError(f"what can be frozen is {', '.join(_SITES)}, got {part!r:.60}")
    return Rules(frozenset(parts))


class Linearised(RunHooks):
    """Keeps the activations that slopes are taken at, and lets nothing flow back where rules say so."""

    def __init__(
        self,
        rules: Rules,
        edits: Sequence[Edit] = (),
        keep: Iterable[Site] = (),
    ) -> None:
        super().__init__(edits, keep)
        self._constant = rules.kinds

    def wants(self, site: Site) -> bool:
        return site.kind in self._constant or super().wants(site)

    def __call__(self, site: Site, activation: Tensor) -> Tensor:
        activation = super().__call__(site, activation)
        return activation.detach() if site.kind in self._constant else activation
