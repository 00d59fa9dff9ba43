"""What one run reads from the model and changes in it: the only thing that knows about sites asked for.

Every intermediate value passes through the run's hooks, `z = hooks(sites.z(layer), z)`. Hooks live as long as
one run, so between runs the model has no state.
"""

from collections.abc import Iterable, Sequence

from torch import Tensor

from interp.edits import Edit
from interp.errors import UsageError
from interp.sites import Site


class Hooks:
    """Reads nothing and changes nothing."""

    def wants(self, site: Site) -> bool:
        """Whether something is to be read or changed at this site."""
        return False

    def edits(self, site: Site) -> bool:
        """Whether something is to be changed at this site."""
        return False

    def __call__(self, site: Site, activation: Tensor) -> Tensor:
        """The activation with which the model goes on."""
        return activation


NO_HOOKS = Hooks()


class RunHooks(Hooks):
    """Applies the edits of a run and keeps the activations that it asked for, after their edits.

    What is kept shares memory with nothing else that is kept, and edits never work in place, so
    nothing that happens later can reach it.
    """

    def __init__(self, edits: Sequence[Edit] = (), keep: Iterable[Site] = ()) -> None:
        self._edits: dict[Site, list[Edit]] = {}
        for edit in edits:
            self._edits.setdefault(edit.site, []).append(edit)
        self._keep = frozenset(keep)
        self._wanted = self._keep | self._edits.keys()
        self._memory: set[int] = set()
        self._fired: set[Site] = set()
        self.kept: dict[Site, Tensor] = {}

    def wants(self, site: Site) -> bool:
        return site in self._wanted

    def edits(self, site: Site) -> bool:
        return site in self._edits

    def __call__(self, site: Site, activation: Tensor) -> Tensor:
        if site not in self._wanted:
            return activation
        for edit in self._edits.get(site, ()):
            activation = edit.apply(activation)
            self._fired.add(site)
        if site in self._keep:
            # The model goes on with what is kept, so that gradients reach it.
            activation = self.kept[site] = self._own(activation)
        return activation

    def _own(self, activation: Tensor) -> Tensor:
        """The activation in memory that no other kept activation uses (a layer's resid_post is the
        next one's resid_pre)."""
        if activation.untyped_storage().data_ptr() in self._memory:
            activation = activation.clone()
        self._memory.add(activation.untyped_storage().data_ptr())
        return activation

    def close(self) -> None:
        """Checks that the run passed every site that it was asked to read or change.

        Raises  UsageError naming the edits that never fired and the sites that were never reached.
        """
        if silent := [
            edit for site, edits in self._edits.items() if site not in self._fired for edit in edits
        ]:
            raise UsageError(
                f"this edit never fired: {silent[0]}; the run does not compute {silent[0].site.name!r}"
            )
        if missing := self._keep - self.kept.keys():
            first = min(missing, key=lambda site: site.order)
            raise UsageError(f"the run does not compute {first.name!r}, which it was asked to keep")
