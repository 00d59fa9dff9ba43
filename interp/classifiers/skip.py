"""Layers that an intervention cannot reach do not run again: they give what they gave before."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from interp.classifiers.classifier import Classifier, Reading
from interp.classifiers.places import Places


class Prefix:
    """What every layer of a pair's run gave. Models that call one layer many times have none."""

    def __init__(self, classifier: Classifier, places: Places, reading: Reading) -> None:
        self._layers = _layers(classifier.model, [place.name for place in places.attention])
        self._given: list[Any] = [None] * len(self._layers)
        with ExitStack() as stack:
            for number, layer in enumerate(self._layers):
                stack.callback(layer.register_forward_hook(self._noting(number)).remove)
            classifier.logits(reading.inputs)

    @contextmanager
    def before(self, layer: int, n: int) -> Iterator[None]:
        """Inside, the layers before this one give what they gave, n times over, without running."""
        skipped = self._layers[:layer]
        try:
            for number, module in enumerate(skipped):
                # An instance's own forward goes before that of its class.
                object.__setattr__(module, "forward", self._again(number, n))
            yield
        finally:
            for module in skipped:
                module.__dict__.pop("forward", None)

    def _noting(self, number: int) -> Any:
        def note(module: nn.Module, given: Any, result: Any) -> None:
            self._given[number] = result

        return note

    def _again(self, number: int, n: int) -> Any:
        def forward(*given: Any, **named: Any) -> Any:
            return _repeated(self._given[number], n)

        return forward


def _layers(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """The items of the model's list of layers that these modules are in; none if two share one."""
    found: list[nn.Module] = []
    for name in names:
        parts = name.split(".")
        holders = [".".join(parts[:size]) for size in range(len(parts))]
        inside = [
            f"{holder}.{parts[size]}"
            for size, holder in enumerate(holders)
            if isinstance(model.get_submodule(holder), nn.ModuleList)
        ]
        if not inside:
            return []
        found.append(model.get_submodule(inside[0]))
    return found if len(set(found)) == len(found) else []


def _repeated(given: Any, n: int) -> Any:
    if isinstance(given, Tensor):
        # As GPT's first layers are given it: theirs cannot be viewed where it is expanded.
        return given.repeat(n, *(1 for _ in given.shape[1:]))
    return tuple(None if each is None else _repeated(each, n) for each in given)
