"""Numbers and prompts as pictures, with the defaults that most pages take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from interp.report import Heatmap, Maps, Text, TokenStrip

if TYPE_CHECKING:
    from torch import Tensor

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
    return Maps(
        [heatmap(title, each, axes, **options) for title, each in values.items()], note=note
    )


def prompt(
    model: Transformer, tokens: Tensor, title: str = "The prompt, as the model reads it"
) -> list[TokenStrip | Text]:
    """The tokens of one prompt, and whether a BOS is put before it and why."""
    return [TokenStrip(model.to_str_tokens(tokens), title=title), Text(model.bos.sentence)]
