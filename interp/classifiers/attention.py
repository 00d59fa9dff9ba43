"""Which heads attend from one sentence to the other."""

import torch
from jaxtyping import Float
from torch import Tensor

from interp.classifiers.classifier import Classifier, Reading
from interp.classifiers.places import one_stack
from interp.errors import NotApplicable


def patterns(classifier: Classifier, reading: Reading) -> Float[Tensor, "layer head query key"]:
    """Every head's attention on this pair.

    Raises  NotApplicable if the model does not give it, or not from every token to every other in
            every layer.
    """
    one_stack(classifier)
    with torch.no_grad():
        given = classifier.attentions(reading.inputs)
    found = [each for each in given if each is not None]
    if not found or len(found) < len(given):
        raise NotApplicable(f"{classifier.name} does not show its attention")
    pos = reading.tokens.shape[1]
    shapes = {tuple(getattr(each, "shape", ())) for each in found}
    if len(shapes) > 1 or any(len(it) != 4 or it[2:] != (pos, pos) for it in shapes):
        raise NotApplicable(
            f"{classifier.name}, a {classifier.origin.family}, shows attention of the shapes "
            f"{', '.join(map(str, sorted(shapes)))}, not one row and one column a token in every layer"
        )
    if any(hasattr(module, "sinks") for module in classifier.model.modules()):
        raise NotApplicable(
            f"{classifier.name}, a {classifier.origin.family}, attends to a sink that is no token: what "
            "its tokens get does not add up to 1"
        )
    pattern = torch.stack([each[0].double().cpu() for each in found])
    if pattern.min() < 0:
        raise NotApplicable(
            f"{classifier.name}, a {classifier.origin.family}, shows scores before softmax in place of "
            "its attention"
        )
    return pattern


def across(
    pattern: Float[Tensor, "layer head query key"], reading: Reading
) -> Float[Tensor, "layer head"]:
    """The mean share of attention that a token of either sentence pays to the other sentence."""
    return _shares(pattern, reading).mean(-1)


def chance(pattern: Float[Tensor, "layer head query key"], reading: Reading) -> float:
    """The same for a head that attends evenly to all that can be seen."""
    seen = (pattern > 0).any(0).any(0).double()
    even = seen / seen.sum(-1, keepdim=True)
    return float(_shares(even[None, None], reading).mean())


def _shares(pattern: Float[Tensor, "layer head query key"], reading: Reading) -> Tensor:
    """One share for each token of either sentence, `[layer head token]`."""
    first, second = reading.of(0), reading.of(1)
    one = pattern[:, :, first][..., second].sum(-1)
    other = pattern[:, :, second][..., first].sum(-1)
    return torch.cat([one, other], -1)
