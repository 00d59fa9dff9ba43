"""Are the heads side by side where the attention output projection reads them?

A slice of what a projection reads is one head's only if it is mixed by that head's pattern and by no
other: the slice's gradient with respect to the patterns says so. ConvBERT reads convolutions beside
its heads, the differential attention of DiffLlama reads differences of two heads.
"""

import torch
from torch import Tensor

from interp.classifiers.classifier import Classifier, Reading
from interp.classifiers.places import Places, read_by
from interp.errors import NotApplicable


def check(classifier: Classifier, places: Places, reading: Reading) -> None:
    """Passes if in every layer each head's slice of what is projected is mixed by its own pattern alone.

    Raises  NotApplicable if not, or if the model does not show the patterns that it mixes with.
    """
    name, projected = classifier.name, list[Tensor]()
    with torch.enable_grad(), read_by(places.attention, lambda _, z: projected.append(z)):
        patterns = classifier.attentions(reading.inputs)
    if len(patterns) != len(projected):
        raise NotApplicable(
            f"{name} shows the attention of {len(patterns)} layers of {len(projected)}: its heads cannot "
            "be told apart"
        )
    for layer, (z, pattern) in enumerate(zip(projected, patterns, strict=True)):
        if pattern is None:
            raise NotApplicable(
                f"{name} does not show its attention: its heads cannot be told apart"
            )
        if pattern.ndim != 4 or pattern.shape[1] != places.n_heads:
            raise NotApplicable(
                f"{name} has {places.n_heads} heads in its config, but attention of the shape "
                f"{tuple(pattern.shape)} in layer {layer}"
            )
        for head, part in enumerate(z.chunk(places.n_heads, -1)):
            mixed_by = _mixed_by(part, pattern)
            if mixed_by != [head]:
                raise NotApplicable(
                    f"what the attention output projection of {name} reads is not its heads side by "
                    f"side: slice {head} of layer {layer} is mixed by the patterns of "
                    f"{mixed_by or 'no head'}"
                )


def _mixed_by(part: Tensor, pattern: Tensor) -> list[int]:
    """The heads on whose pattern this part of z depends."""
    if not part.requires_grad or not pattern.requires_grad:
        return []
    (gradient,) = torch.autograd.grad(part.sum(), pattern, retain_graph=True, allow_unused=True)
    return [] if gradient is None else gradient.abs().amax((0, 2, 3)).nonzero().flatten().tolist()
