"""Which heads look from one sentence to the other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.classifiers.classifier import Classifier, Reading
from interp.errors import NotApplicable


def patterns(classifier: Classifier, reading: Reading) -> Float[Tensor, "layer head query key"]:
    """Every head's attention on this pair.

    Raises  NotApplicable if the model does not give it.
    """
    with torch.no_grad():
        found = classifier.model(**reading.inputs, output_attentions=True).attentions
    if not found or any(each is None for each in found):
        raise NotApplicable(f"{classifier.name} does not show its attention")
    return torch.stack([each[0].double().cpu() for each in found])


def across(
    pattern: Float[Tensor, "layer head query key"], reading: Reading
) -> Float[Tensor, "layer head"]:
    """The mean share of attention that a token of either sentence pays to the other sentence."""
    return _shares(pattern, reading).mean(-1)


def chance(pattern: Float[Tensor, "layer head query key"], reading: Reading) -> float:
    """The same for a head that looks evenly at all that can be seen."""
    seen = (pattern > 0).any(0).any(0).double()
    even = seen / seen.sum(-1, keepdim=True)
    return float(_shares(even[None, None], reading).mean())


def _shares(pattern: Float[Tensor, "layer head query key"], reading: Reading) -> Tensor:
    """One share for each token of either sentence, `[layer head token]`."""
    first, second = reading.of(0), reading.of(1)
    one = pattern[:, :, first][..., second].sum(-1)
    other = pattern[:, :, second][..., first].sum(-1)
    return torch.cat([one, other], -1)
