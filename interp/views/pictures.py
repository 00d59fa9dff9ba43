"""Numbers, columns of a table, effects and prompts as pictures, with the defaults that most pages take."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from interp import stats
from interp.effects import Effects
from interp.report import Chart, Heatmap, Maps, Series, Table, Text, TokenStrip
from interp.stats import Estimate
from interp.transformer import Transformer


def array(values: Any) -> NDArray[np.float64]:
    """The numbers of a tensor of any format and device, or of anything that numpy takes."""
    if hasattr(values, "detach"):
        values = values.detach().double().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def heatmap(
    title: str, values: Any, axes: tuple[str, str] = ("layer", "head"), **options: Any
) -> Heatmap:
    """A matrix as a heat map: of layer by head, if nothing else is said."""
    return Heatmap(title, array(values), *axes, **options)


def maps(
    values: Mapping[str, Any],
    axes: tuple[str, str] = ("layer", "head"),
    *,
    note: str = "",
    **options: Any,
) -> Maps:
    """Matrices by their titles as heat maps beside each other, all of these axes and `options`."""
    shown = [heatmap(title, each, axes, **options) for title, each in values.items()]
    return Maps(shown, note=note)


def prompt(
    model: Transformer, tokens: Tensor, title: str = "The prompt, as the model reads it"
) -> list[TokenStrip | Text]:
    """The tokens of one prompt, and whether a BOS is put before it and why."""
    return [TokenStrip(model.to_str_tokens(tokens), title=title), Text(model.bos.sentence)]


_ENDS = ("ci_low", "ci_high")


def lines(
    title: str, x: Iterable[Any], columns: Mapping[str, Iterable[Any]], x_label: str, y_label: str
) -> Chart:
    """One line for each of these columns over the same x."""
    places = list(x)
    series = [Series(name, places, list(y)) for name, y in columns.items()]
    return Chart(title, "line", series, x_label, y_label)


def band(name: str, x: Iterable[Any], estimate: Estimate) -> Series:
    """One line of values with their intervals."""
    return Series(name, list(x), estimate.value, estimate.low, estimate.high)


def grouped(
    title: str,
    frame: pd.DataFrame,
    by: str,
    axes: Sequence[str],
    labels: Sequence[str],
    also: Sequence[Series] = (),
) -> Chart:
    """One line for each value of a column, in the order in which they first come; `axes` are the columns
    of x and y, `labels` what these are called. Intervals are drawn where the frame has ci_low and ci_high."""
    x, y = axes
    series = []
    for name, some in frame.groupby(by, sort=False):
        low, high = (some[each].to_numpy() if each in some else None for each in _ENDS)
        series.append(Series(str(name), some[x].to_numpy(), some[y].to_numpy(), low, high))
    return Chart(title, "line", [*series, *also], *labels)


def scatter(
    title: str,
    one: Effects,
    other: Effects,
    labels: Sequence[str],
    chosen: Sequence[int] | Int[np.ndarray, " label"],
) -> Chart:
    """Mean effects of the same components in two settings, the chosen ones apart from the others."""
    x, y = one.mean(), other.mean()
    rest = np.setdiff1d(np.arange(len(x)), chosen)
    series = [
        Series(name, x[rows], y[rows])
        for name, rows in (("chosen", np.asarray(chosen)), ("others", rest))
        if len(rows)
    ]
    return Chart(title, "scatter", series, *labels)


def first_order(points: Mapping[str, tuple[Effects, Effects]], note: str = "") -> Chart:
    """The first-order estimate of each component beside its measured effect, in groups; how alike they
    rank, and the slope of a line through zero, are of all groups together."""
    means = {name: (one.mean(), other.mean()) for name, (one, other) in points.items()}
    estimated, measured = (np.concatenate(each) for each in zip(*means.values(), strict=True))
    rank = stats.rank_correlation(estimated, measured)
    return Chart(
        "First-order estimate and measured effect",
        "scatter",
        [Series(name, *each) for name, each in means.items()],
        "first-order estimate, logits",
        "measured effect, logits",
        note=f"{note} Rank correlation {rank:.2f}; measured effect for each unit of the estimate "
        f"{stats.slope(estimated, measured):.2f}.".strip(),
    )


def statistics(name: str, tensors: Mapping[str, Tensor], first_rows: int = 20) -> Table:
    """Shape, mean, spread and range of tensors by their names, masked scores left out."""
    columns = ["tensor", "shape", "mean", "standard deviation", "min", "max"]
    rows = []
    for label, tensor in tensors.items():
        known = tensor.detach()[tensor.isfinite()].float()
        numbers = known.mean(), known.std(correction=0), known.min(), known.max()
        rows.append([label, " × ".join(map(str, tensor.shape)), *map(float, numbers)])
    return Table(name, pd.DataFrame(rows, columns=columns), first_rows=first_rows)
