"""What a run returns beside its logits: the activations that it was asked to keep, by site."""

from collections.abc import Iterator, Mapping
from typing import Any, Union

import torch
from torch import Tensor

from interp.edits import REAL
from interp.errors import UsageError
from interp.sites import KINDS, Site, parse

Key = Union[Site, str, tuple[str, int]]


class Cache(Mapping[Key, Tensor]):
    """Activations by site; a TransformerLens name or its `("z", 5)` finds the same activation.

    It holds one entry for an activation, under one name, in memory of its own. Of padded prompts each
    knows which positions are `real`, so that no mean counts the others.
    """

    def __init__(self, kept: Mapping[Site, Tensor], real: Tensor | None = None) -> None:
        if real is not None and not bool(real.all()):
            for activation in kept.values():
                setattr(activation, REAL, real)
        self._kept = dict(sorted(kept.items(), key=lambda item: item[0].order))

    def __getitem__(self, key: Key) -> Tensor:
        site = parse(key)
        try:
            return self._kept[site]
        except KeyError:
            spelt = f"sites.{site.kind}({'' if site.layer is None else site.layer})"
            kept = ", ".join(each.name for each in list(self._kept)[:6]) or "nothing"
            raise UsageError(
                f"{site.name!r} was not kept by this run; ask for it with keep=[{spelt}]. "
                f"Kept: {kept}{' …' if len(self._kept) > 6 else ''}"
            ) from None

    def get(self, key: Key, default: Any = None) -> Any:
        """The activation if it was kept, else the default."""
        if key not in self:
            return default
        return self[key]

    def __contains__(self, key: object) -> bool:
        try:
            return parse(key) in self._kept  # type: ignore[arg-type]
        except UsageError:
            return False

    def __iter__(self) -> Iterator[Site]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def stack(self, kind: str) -> Tensor:
        """This kind of site of all layers kept, `[layer …]`, from the first layer to the last.

        Raises  UsageError if the run kept none of them.
        """
        found = [activation for site, activation in self._kept.items() if site.kind == kind]
        if not found:
            raise UsageError(f"this run kept no {kind!r}; kinds are {', '.join(KINDS)}")
        return torch.stack(found)

    def __repr__(self) -> str:
        return (
            f"Cache({len(self._kept)} activations: {', '.join(site.name for site in self._kept)})"
        )
