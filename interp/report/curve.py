"""What a curve's picture needs: lines and bands in percent of its field, and round numbers at its sides."""

from dataclasses import dataclass

import numpy as np

from interp.report.axis import Axis, LogAxis
from interp.report.charts import points
from interp.report.numbers import exact
from interp.report.pictures import Curve, Series

# Beyond this ratio of the largest x to the smallest, an even axis would hide the small ones.
SPANS = 30


@dataclass(frozen=True)
class Point:
    """A point of a line in percent of the field, from the left and from the top; what it says."""

    x: str
    y: str
    text: str


@dataclass(frozen=True)
class Stroke:
    """One series: its line, its band where it has an interval, and its points."""

    name: str
    line: str
    band: str
    points: list[Point]


@dataclass(frozen=True)
class Rule:
    """A named line across or upwards, and how far along the other axis it lies."""

    name: str
    place: str


@dataclass(frozen=True)
class CurveView:
    """One curve, ready for the template."""

    strokes: list[Stroke]
    x: Axis | LogAxis
    y: Axis
    levels: list[Rule]
    marks: list[Rule]
    zero: str
    rows: list[list[str]]
    interval: bool
    spoken: str

    @classmethod
    def of(cls, block: Curve) -> "CurveView":
        xs = [float(x) for series in block.series for x in series.x]
        xs += [x for _, x in block.marks]
        ys = [y for _, y in block.levels]
        for series in block.series:
            ys += [*series.y, *(series.low or ()), *(series.high or ())]
        spans = min(xs) > 0 and max(xs) > SPANS * min(xs)
        x: Axis | LogAxis = LogAxis.of(xs) if spans else Axis.of(xs)
        y = Axis.of(ys)
        strokes = [_stroke(series, x, y) for series in block.series]
        spoken = [f"{each.name}: {each.points[0].text} to {each.points[-1].text}"
                  for each in strokes if each.points]  # fmt: skip
        return cls(
            strokes,
            x,
            y,
            [Rule(name, _up(y, value)) for name, value in block.levels],
            [Rule(name, x.css(value)) for name, value in block.marks],
            _up(y, 0.0),
            points(block.series),
            any(series.low is not None for series in block.series),
            "; ".join(spoken),
        )


def _up(axis: Axis, value: float) -> str:
    """Percent from the top."""
    return f"{100 - axis.place(value):.2f}"


def _stroke(series: Series, x: Axis | LogAxis, y: Axis) -> Stroke:
    order = np.argsort([float(each) for each in series.x], kind="stable").tolist()
    across = [x.css(float(series.x[i])) for i in order]
    found = [
        Point(at, _up(y, series.y[i]), f"{exact(series.y[i])} at {exact(series.x[i])}")
        for at, i in zip(across, order, strict=True)
    ]
    band = ""
    if series.low is not None and series.high is not None:
        upper = [f"{at} {_up(y, series.high[i])}" for at, i in zip(across, order, strict=True)]
        lower = [f"{at} {_up(y, series.low[i])}" for at, i in zip(across, order, strict=True)]
        band = "M" + "L".join([*upper, *lower[::-1]]) + "Z" if upper else ""
    line = "M" + "L".join(f"{each.x} {each.y}" for each in found) if found else ""
    return Stroke(series.name, line, band, found)
