"""The blocks that are drawn: heat maps, token strips, attention patterns, charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from interp.report.numbers import Number
from interp.report.require import (
    all_are,
    array,
    assign,
    floats,
    one_of,
    require,
    same_length,
    texts,
)

# What authors may pass for a sequence; blocks keep tuples of Python numbers or strings.
Numbers: TypeAlias = Sequence[Any] | NDArray[Any]

Scale = Literal["diverging", "sequential"]
ChartKind = Literal["line", "bar", "stacked", "scatter"]
SCALES = ("diverging", "sequential")
CHART_KINDS = ("line", "bar", "stacked", "scatter")


@dataclass(frozen=True)
class Heatmap:
    """A matrix of numbers as a picture; NaN means that there is no value. `samples` [row column example]
    are the prompts' own values, in the order of the task's kept prompts, where a cell is their mean: they
    are stored, shown for a chosen cell, and what a later comparison of two runs pairs."""

    title: str
    values: Any
    row_axis: str
    column_axis: str
    rows: Numbers | None = None
    columns: Numbers | None = None
    unit: str = ""
    scale: Scale = "diverging"
    low: Number | None = None
    high: Number | None = None
    note: str = ""
    samples: Any = None

    def __post_init__(self) -> None:
        where = f"Heatmap {self.title!r}"
        one_of(self.scale, SCALES, f"{where} scale")
        values = array(self.values, where, ndim=2, nan=True)
        require(values.size > 0, f"{where} is empty, shape {values.shape}; leave the block out")
        assign(self, values=values)
        if self.samples is not None:
            assign(self, samples=_samples(self.samples, values, where))
        for name, labels, size in (
            ("rows", self.rows, values.shape[0]),
            ("columns", self.columns, values.shape[1]),
        ):
            if labels is not None:
                assign(self, **{name: texts(labels)})
                same_length(f"{where} {name}", len(labels), f"the values' {name}", size)
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                assign(self, **{name: float(floats([getattr(self, name)], f"{where} {name}")[0])})

    @property
    def by_head(self) -> bool:
        """Whether a cell is one attention head, so that it takes part in the head selection."""
        return self.row_axis == "layer" and self.column_axis == "head"


def _samples(samples: Any, means: NDArray[Any], where: str) -> NDArray[Any]:
    """The values that the cells are means of, in single precision."""
    found = array(samples, f"{where} samples", ndim=3, nan=True)
    expected = (*means.shape, found.shape[-1])
    require(
        found.shape == expected and found.size > 0,
        f"{where} samples expected shape {expected}, got {found.shape}",
    )
    # Rounding grows with the samples, not with a mean in which they cancel.
    rounding = 1e-5 * float(np.nanmax(np.abs(found), initial=0.0))
    closely = np.allclose(found.mean(-1), means, rtol=1e-4, atol=rounding, equal_nan=True)
    require(closely, f"{where} has values that are not the means of its samples; leave them out")
    single = found.astype(np.float32)
    single.flags.writeable = False
    return single


@dataclass(frozen=True)
class Maps:
    """Heat maps beside each other, with one cursor for those of equal shape."""

    heatmaps: Sequence[Heatmap]
    title: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        assign(self, heatmaps=tuple(self.heatmaps))
        require(bool(self.heatmaps), f"Maps {self.title!r} has no heat map; leave the block out")
        all_are(Heatmap, self.heatmaps, f"Maps {self.title!r}")


@dataclass(frozen=True)
class TokenStrip:
    """A prompt as its tokens in order, coloured by a value each where values are given; `marks`
    are the names that positions have, empty where one has none."""

    tokens: Sequence[str]
    values: Any = None
    title: str = ""
    unit: str = ""
    scale: Scale = "diverging"
    note: str = ""
    marks: Sequence[str] = ()

    def __post_init__(self) -> None:
        where = f"TokenStrip {self.title!r}"
        one_of(self.scale, SCALES, f"{where} scale")
        assign(self, tokens=texts(self.tokens), marks=texts(self.marks))
        if self.marks:
            same_length(f"{where} marks", len(self.marks), "tokens", len(self.tokens))
        require(bool(self.tokens), f"{where} has no tokens; leave the block out")
        if self.values is not None:
            values = array(self.values, where, ndim=1, nan=True)
            same_length(f"{where} values", len(values), "tokens", len(self.tokens))
            assign(self, values=values)


@dataclass(frozen=True)
class Attention:
    """Attention patterns of some heads on some prompts, an array [head query key] a prompt; `heads` are
    (layer, head) pairs, the most interesting first: a page that cannot hold all keeps the first."""

    title: str
    tokens: Sequence[Sequence[str]]
    patterns: Numbers
    heads: Sequence[Any]
    note: str = ""

    def __post_init__(self) -> None:
        where = f"Attention {self.title!r}"
        tokens = tuple(texts(prompt) for prompt in self.tokens)
        heads = tuple((int(layer), int(head)) for layer, head in self.heads)
        require(bool(tokens) and bool(heads), f"{where} needs at least one prompt and one head")
        require(len(set(heads)) == len(heads), f"{where} names a head twice")
        same_length(f"{where} patterns", len(self.patterns), "prompts", len(tokens))
        patterns = []
        for prompt, pattern in zip(tokens, self.patterns, strict=True):
            checked = array(pattern, where, ndim=3)
            expected = (len(heads), len(prompt), len(prompt))
            require(
                checked.shape == expected,
                f"{where} expected a pattern [head query key] of shape {expected}, "
                f"got {checked.shape}",
            )
            require(
                bool(checked.min() > -1e-3) and bool(checked.max() < 1 + 1e-3),
                f"{where} expected weights from 0 to 1, got {checked.min():.3g} to "
                f"{checked.max():.3g}; pass the pattern, not the scores",
            )
            patterns.append(checked.astype(np.float32))
        assign(self, tokens=tokens, heads=heads, patterns=tuple(patterns))


@dataclass(frozen=True)
class Series:
    """One line, set of bars or set of points of a chart, with an interval where it has one. In a scatter
    chart, `line` joins the points: a diagonal, a fit."""

    name: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    line: bool = False

    def __post_init__(self) -> None:
        where = f"Series {self.name!r}"
        x = tuple(self.x)
        if any(isinstance(value, str) for value in x):
            x = tuple(str(value) for value in x)
        else:
            numbers = floats(x, f"{where} x")
            x = tuple(int(v) if v.is_integer() and abs(v) < 2**53 else v for v in numbers)
        assign(self, x=x, y=floats(self.y, f"{where} y"))
        same_length(f"{where} y", len(self.y), "x", len(self.x))
        require(
            (self.low is None) == (self.high is None),
            f"{where} needs both ends of its interval or neither",
        )
        if self.low is not None and self.high is not None:
            for name in ("low", "high"):
                assign(self, **{name: floats(getattr(self, name), f"{where} {name}")})
            same_length(f"{where} low", len(self.low), "x", len(self.x))
            same_length(f"{where} high", len(self.high), "x", len(self.x))


@dataclass(frozen=True)
class Chart:
    """A chart of series over one x axis."""

    title: str
    kind: ChartKind
    series: Sequence[Series]
    x_label: str
    y_label: str
    note: str = ""

    def __post_init__(self) -> None:
        one_of(self.kind, CHART_KINDS, f"Chart {self.title!r} kind")
        assign(self, series=tuple(self.series))
        require(bool(self.series), f"Chart {self.title!r} has no series; leave the block out")
        all_are(Series, self.series, f"Chart {self.title!r}")


@dataclass(frozen=True)
class Curve:
    """Lines over one x axis as a still picture: numbers alone, with a band where they have an interval.

    `levels` are lines across, such as ("floor", 0.8), and `marks` lines upwards, as (name, x). The x axis is
    logarithmic where all x are positive and the largest is more than 30 times the smallest.
    """

    title: str
    series: Sequence[Series]
    x_label: str
    y_label: str
    levels: Sequence[Any] = ()
    marks: Sequence[Any] = ()
    note: str = ""

    def __post_init__(self) -> None:
        where = f"Curve {self.title!r}"
        assign(self, series=tuple(self.series))
        all_are(Series, self.series, where)
        for series in self.series:
            require(
                not any(isinstance(x, str) for x in series.x),
                f"{where} expected numbers on its x axis; a chart takes names",
            )
        require(
            any(series.x for series in self.series), f"{where} has no points; leave the block out"
        )
        for name in ("levels", "marks"):
            pairs = tuple(
                (str(label), floats([value], f"{where} {name}")[0])
                for label, value in getattr(self, name)
            )
            assign(self, **{name: pairs})
