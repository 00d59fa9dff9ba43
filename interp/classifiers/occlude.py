"""Which tokens carry the decision: each one masked, or taken out, by itself."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.classifiers.classifier import Classifier, Reading

# Rows of inputs and one position for each; gives the rows without those tokens.
Change = Callable[[dict[str, Tensor], list[int]], dict[str, Tensor]]
# Pairs of some 30 tokens in one batch.
_ROWS = 64


def occluder(classifier: Classifier) -> int | None:
    """The token that stands for nothing: the mask, else the unknown; None if there is neither, or
    if it is padding."""
    tokenizer = classifier.tokenizer
    for token in (tokenizer.mask_token_id, tokenizer.unk_token_id):
        if token is not None and token != tokenizer.pad_token_id:
            return int(token)
    return None


def masked(classifier: Classifier, reading: Reading, token: int) -> Float[np.ndarray, " pos"]:
    """What masking each token of either sentence adds to the log-odds; NaN for tokens of neither."""

    def change(rows: dict[str, Tensor], positions: list[int]) -> dict[str, Tensor]:
        rows["input_ids"][torch.arange(len(positions)), positions] = token
        return rows

    return _effects(classifier, reading, change)


def deleted(classifier: Classifier, reading: Reading) -> Float[np.ndarray, " pos"]:
    """What taking each token of either sentence out adds to the log-odds; NaN for tokens of neither."""

    def change(rows: dict[str, Tensor], positions: list[int]) -> dict[str, Tensor]:
        n, pos = rows["input_ids"].shape
        kept = torch.arange(pos).repeat(n, 1)
        kept = kept[kept != torch.tensor(positions)[:, None]].view(n, pos - 1)
        return {name: rows[name].gather(1, kept.to(rows[name].device)) for name in rows}

    return _effects(classifier, reading, change)


def _effects(classifier: Classifier, reading: Reading, change: Change) -> Float[np.ndarray, " pos"]:
    base = float(classifier.decide(reading.inputs)[0])
    places = sorted(reading.of(0) + reading.of(1))
    found = np.full(len(reading.strings), np.nan)
    for start in range(0, len(places), _ROWS):
        positions = places[start : start + _ROWS]
        rows = change(reading.rows(len(positions)), positions)
        found[positions] = classifier.decide(rows).numpy() - base
    return found
