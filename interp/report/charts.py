"""Charts through Plotly: the block as a JSON island, the library as inert text."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from interp.report.circuitsvis import installed_file
from interp.report.numbers import exact
from interp.report.pictures import Chart, Series


@cache
def script() -> str:
    """Plotly's code, taken from the installed wheel, safe inside a script element."""
    text = installed_file("plotly", "package_data/plotly.min.js").read_text(encoding="utf-8")
    return re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE)


def island(chart: Chart) -> dict[str, Any]:
    """What the page's script needs to draw the chart."""
    return {
        "kind": chart.kind,
        "title": chart.title,
        "x_label": chart.x_label,
        "y_label": chart.y_label,
        "series": [
            {
                "name": series.name,
                "x": series.x,
                "line": series.line,
                "y": [float(f"{y:.6g}") for y in series.y],
                "low": None if series.low is None else [float(f"{y:.6g}") for y in series.low],
                "high": None if series.high is None else [float(f"{y:.6g}") for y in series.high],
            }
            for series in chart.series
        ],
    }


def rows(chart: Chart) -> list[list[str]]:
    """The chart's numbers as rows of text: series, x, y, and the interval where there is one."""
    return points(chart.series)


def points(series: Sequence[Series]) -> list[list[str]]:
    """Every point as text: its series, x, y, and the interval where one of the series has one."""
    with_interval = any(each.low is not None for each in series)
    table = []
    for each in series:
        for i, (x, y) in enumerate(zip(each.x, each.y, strict=True)):
            row = [each.name, x if isinstance(x, str) else exact(x), exact(y)]
            if with_interval:
                low, high = each.low, each.high
                row += [exact(low[i]), exact(high[i])] if low and high else ["", ""]
            table.append(row)
    return table


def has_interval(chart: Chart) -> bool:
    return any(series.low is not None for series in chart.series)
