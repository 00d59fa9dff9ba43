"""Where attention and MLPs of someone else's model end: the modules that write to the stream.

They are found by the names that their authors gave them, and a forward pass decides: a place is a
module and the number of its call, since ALBERT calls one layer's modules over and over.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp.classifiers.classifier import Classifier, Reading
from interp.errors import NotApplicable

_ATTENTION = re.compile(
    r"(^|\.)(attention\.output\.dense|attention\.out_lin|attention\.dense|self_attention\.dense"
    r"|attention\.o_proj|attn\.(c_proj|out_proj|Wo|o)|self_attn\.(o_proj|out_proj|dense))$"
)
_MLP = re.compile(
    r"(^|\.)((?<!attention\.)output\.dense|ffn\.lin2|ffn_output|fc2|dense_4h_to_h"
    r"|mlp\.(c_proj|down_proj|fc2|Wo))$"
)
# Whatever is called a norm: one that is no such thing is found out where it is held.
_NORM = re.compile(r"Norm(1P|Gated)?$")

Change = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Place:
    """One call of one module."""

    name: str
    module: nn.Module
    call: int


@dataclass(frozen=True, slots=True)
class Places:
    """The calls that make up a forward pass, each kind in the order of the layers."""

    attention: tuple[Place, ...]
    mlp: tuple[Place, ...]
    norm: tuple[Place, ...]
    embedding: tuple[Place, ...]
    n_heads: int

    @property
    def n_layers(self) -> int:
        return len(self.attention)


def find(classifier: Classifier, reading: Reading) -> Places:
    """The places of this classifier.

    Raises  NotApplicable if not every layer has one attention output projection that reads its heads
            side by side.
    """
    n_layers, n_heads = _shape(classifier)
    calls: list[tuple[str, Place, tuple[int, ...]]] = []

    def note(kind: str, name: str, module: nn.Module, given: tuple[Any, ...], result: Any) -> None:
        number = sum(place.module is module for _, place, _ in calls)
        shown = result if kind == "embedding" else given[0]
        if not isinstance(shown, Tensor) or not isinstance(result, Tensor):
            raise NotApplicable(
                f"{name} of {classifier.name} is a {type(module).__name__}, which does not make "
                "a tensor of a tensor"
            )
        calls.append((kind, Place(name, module, number), tuple(shown.shape)))

    with ExitStack() as stack:
        for name, module in classifier.model.named_modules():
            if kind := _kind(name, module):
                stack.callback(module.register_forward_hook(partial(note, kind, name)).remove)
        classifier.logits(reading.inputs)
    pos = reading.tokens.shape[1]
    # Norms of queries, keys and relative positions are not on the stream, nor is a table of biases
    # between positions.
    on_stream = [each for each in calls if len(each[2]) == 3 and each[2][:2] == (1, pos)]
    found = {
        kind: tuple(place for each, place, _ in on_stream if each == kind)
        for kind in ("attention", "mlp", "norm", "embedding")
    }
    widths = {shape[2] for kind, _, shape in on_stream if kind == "attention"}
    if len(found["attention"]) != n_layers or any(width % n_heads for width in widths):
        raise NotApplicable(
            f"{classifier.name} has {n_layers} layers of {n_heads} heads, but "
            f"{len(found['attention'])} attention output projections were found: a "
            f"{classifier.origin.family} cannot be taken apart by heads yet"
        )
    return Places(**found, n_heads=n_heads)


def one_stack(classifier: Classifier) -> None:
    """Passes if the model is one stack of layers.

    Raises  NotApplicable for an encoder–decoder.
    """
    if getattr(classifier.config, "is_encoder_decoder", False):
        raise NotApplicable(
            f"{classifier.name} is an encoder–decoder, a {classifier.origin.family}: it has the heads "
            "of two stacks and those between them, and reads its decision in the decoder; only "
            "models of one stack are taken apart"
        )


def _shape(classifier: Classifier) -> tuple[int, int]:
    one_stack(classifier)
    config = classifier.config.get_text_config()
    n_layers = getattr(config, "num_hidden_layers", None)
    n_heads = getattr(config, "num_attention_heads", None)
    if not isinstance(n_layers, int) or not isinstance(n_heads, int) or min(n_layers, n_heads) < 1:
        raise NotApplicable(
            f"{classifier.name}, a {classifier.origin.family}, has no number of layers and heads in "
            "its config"
        )
    return n_layers, n_heads


def _kind(name: str, module: nn.Module) -> str:
    if _ATTENTION.search(name):
        return "attention"
    if _MLP.search(name):
        return "mlp"
    if isinstance(module, nn.Embedding):
        return "embedding"
    return "norm" if _NORM.search(type(module).__name__) else ""


def changed(
    places: Sequence[Place], change: Callable[[int, Tensor, Tensor], Tensor | None]
) -> AbstractContextManager[None]:
    """Inside, each of these calls gives what `change(number, given, result)` makes of it, where
    that is not None; afterwards nothing is left behind."""
    return _hooked(
        places,
        "register_forward_hook",
        lambda number, given, result: change(number, given[0], result),
    )


def read_by(
    places: Sequence[Place], change: Callable[[int, Tensor], Tensor | None]
) -> AbstractContextManager[None]:
    """Inside, each of these calls reads what `change(number, given)` makes of its input, where that
    is not None; afterwards nothing is left behind."""

    def hook(number: int, given: tuple[Any, ...]) -> Any:
        new = change(number, given[0])
        return None if new is None else (new, *given[1:])

    return _hooked(places, "register_forward_pre_hook", hook)


@contextmanager
def _hooked(places: Sequence[Place], kind: str, change: Callable[..., Any]) -> Iterator[None]:
    numbers = {(place.module, place.call): number for number, place in enumerate(places)}
    counts = dict.fromkeys((place.module for place in places), 0)

    def hook(module: nn.Module, *given: Any) -> Any:
        number = numbers.get((module, counts[module]))
        counts[module] += 1
        return None if number is None else change(number, *given)

    with ExitStack() as stack:
        for module in counts:
            stack.callback(getattr(module, kind)(hook).remove)
        yield


def kernel(module: Any) -> tuple[Tensor, Tensor | None]:
    """The weight `[in, out]` and bias of a projection; GPT-2's stores it that way round already."""
    weight = module.weight
    if isinstance(module, nn.Linear):
        weight = weight.T
    return weight.detach(), None if module.bias is None else module.bias.detach()


def recorded(
    classifier: Classifier, reading: Reading, places: Sequence[Place]
) -> list[tuple[Tensor, Tensor]]:
    """What each of these calls was given and what it made of it, on this pair. Copies: Falcon adds
    to what its MLP gave in place."""
    found: list[tuple[Tensor, Tensor]] = [(torch.empty(0), torch.empty(0))] * len(places)

    def note(number: int, given: Tensor, result: Tensor) -> None:
        found[number] = (given.detach().clone(), result.detach().clone())

    with changed(places, note):
        classifier.logits(reading.inputs)
    return found


class FrozenNorm:
    """A norm with the scale of one vector: that of LayerNorm or RMSNorm, whose gain is its weight, or
    one more (Gemma, Nemotron), or 1 where it has none (OLMo).

    Raises  NotApplicable if none of these makes of that vector what the module made of it.
    """

    def __init__(
        self, place: Place, given: Float[Tensor, " d_model"], result: Float[Tensor, " d_model"]
    ) -> None:
        module: Any = place.module
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        plain = torch.ones_like(given) if weight is None else weight.detach()
        self.bias = torch.zeros_like(plain) if bias is None else bias.detach()
        named = (getattr(module, name, None) for name in ("eps", "variance_epsilon"))
        eps = next((each for each in named if each is not None), 0.0)
        centres = "RMS" not in type(module).__name__
        kinds = list(product((centres, not centres), (plain, 1 + plain)))
        errors = []
        for self._centres, self._gain in kinds:
            self._scale = (self._centred(given).square().mean() + eps).sqrt()
            made = self.scaled(given) + self.bias
            errors.append(float((made - result).abs().max() / result.abs().max()))
        least = min(errors)
        if not least < 1e-3 * 10 ** (result.element_size() < 4):
            raise NotApplicable(
                f"{place.name} is a {type(module).__name__}, which is neither LayerNorm nor RMSNorm "
                f"(relative difference {least:.1e})"
            )
        # A vector without a mean cannot tell the two apart: then the name does.
        alike = max(4 * least, 8 * torch.finfo(result.dtype).eps)
        self._centres, self._gain = next(
            kind for kind, error in zip(kinds, errors, strict=True) if error <= alike
        )
        self._scale = (self._centred(given).square().mean() + eps).sqrt()

    def scaled(self, stream: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The stream normed at this scale, without the bias."""
        return self._centred(stream) / self._scale * self._gain

    def _centred(self, stream: Tensor) -> Tensor:
        return stream - stream.mean(-1, keepdim=True) if self._centres else stream
