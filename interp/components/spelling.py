"""From the name of a component to the component: what a command line and stored tables need."""

import re

from interp.components.component import Component
from interp.components.joint import together
from interp.components.kinds import (
    MLP,
    AttentionBias,
    AttentionLayer,
    Embedding,
    Head,
    KVHead,
    Layer,
    Logits,
    MLPBias,
    Neuron,
    PosEmbedding,
)
from interp.errors import UsageError, brief


def parse(text: str) -> Component:
    """The component that is spelt like this: `L5H1`, `L5 MLP`, `embed`, `L5H1 + L6H0`.

    Raises  UsageError for any other text; the message shows every spelling.
    """
    if isinstance(text, str):
        found = [_single(each) for each in text.split(" + ")]
        if all(found):
            return found[0] if len(found) == 1 else together(*found)  # type: ignore[arg-type, return-value]
    known = ", ".join(kind.spelling.format(layer=5, index=1) for kind in _SPELT)
    raise UsageError(f"no component is spelt {brief(text)}; components are spelt {known}")


_SPELT: tuple[type[Component], ...] = (
    *(Head, KVHead, Neuron, MLP, AttentionLayer, Layer, Embedding, PosEmbedding),
    *(AttentionBias, MLPBias, Logits),
)


def _single(text: str) -> Component | None:
    for kind in _SPELT:
        number = r"(0|[1-9][0-9]{0,5})"
        if match := re.fullmatch(kind.spelling.format(layer=number, index=number), text):
            return kind(*map(int, match.groups()))
    return None
