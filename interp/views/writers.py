"""What belongs to every head and MLP: a map of the heads, and bars of the MLPs, layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jaxtyping import Float
from numpy import ndarray

from interp.components import Component
from interp.report import Chart, Heatmap, Maps, Series
from interp.views import effects


def blocks(
    writers: Sequence[Component],
    values: Mapping[str, Float[ndarray, " component"] | Float[ndarray, "component example"]],
    title: str,
    *,
    note: str = "",
    unit: str = "logits",
) -> list[Maps | Chart]:
    """One number a writer, or one for each prompt, under each name; the `title` says what they are of a
    `{}`, of a head and of an MLP."""
    heads, mlps = (
        [row for row, each in enumerate(writers) if each.kind == kind] for kind in ("head", "mlp")
    )
    layers = sorted({each.layer for each in writers if each.layer is not None})

    def shown(name: str, each: ndarray) -> Heatmap:
        if each.ndim == 1:
            return effects.head_map(name, each[heads], len(layers), unit)
        samples = each[heads].reshape(len(layers), -1, each.shape[-1])
        plain = effects.head_map(name, each[heads].mean(-1), len(layers), unit)
        return replace(plain, samples=samples)

    maps = [shown(name, each) for name, each in values.items()]
    found: list[Maps | Chart] = [Maps(maps, title=title.format("head"), note=note)]
    if mlps:
        means = {name: each if each.ndim == 1 else each.mean(-1) for name, each in values.items()}
        series = [Series(name, layers, each[mlps]) for name, each in means.items()]
        found.append(Chart(title.format("MLP"), "bar", series, "layer", unit))
    return found
