"""Tensors in a few numbers each."""

from collections.abc import Mapping

import pandas as pd
from torch import Tensor

from interp.report import Table

_COLUMNS = ("tensor", "shape", "mean", "standard deviation", "min", "max")


def statistics(name: str, tensors: Mapping[str, Tensor], first_rows: int = 20) -> Table:
    """Shape, mean, spread and range of tensors by their names, masked scores left out."""
    rows = []
    for label, tensor in tensors.items():
        known = tensor.detach()[tensor.isfinite()].float()
        numbers = known.mean(), known.std(correction=0), known.min(), known.max()
        rows.append([label, " × ".join(map(str, tensor.shape)), *map(float, numbers)])
    return Table(name, pd.DataFrame(rows, columns=list(_COLUMNS)), first_rows=first_rows)
