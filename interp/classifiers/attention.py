"""Which heads attend from one sentence to the other."""

import torch
from jaxtyping import Float
from torch import Tensor

from interp.classifiers.classifier import Classifier, Reading
from interp.classifiers.places import Places, one_stack, read_by
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


def check_heads(classifier: Classifier, places: Places, reading: Reading) -> None:
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
