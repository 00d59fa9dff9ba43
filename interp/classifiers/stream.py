"""What each part of the model writes to the vector that the decision is read from.

Every attention and MLP output is frozen at what it was on the pair, and every norm on the stream at its
scale. Then the vector is an affine function of its parts, along the skip connections alone, and no
token depends on another, so that only the token that is read has to run. A contribution is what the
part makes alone, less `rest`: what is there when no part is. What comes after the vector, a pooler
with its non-linearity included, runs as it is: without a part, that is the part's direct effect on the
decision, exactly.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from fancy_einsum import einsum
from jaxtyping import Float
from torch import Tensor

from interp.classifiers.classifier import Classifier, Reading
from interp.classifiers.places import FrozenNorm, Places, changed, kernel, recorded
from interp.components import MLP, AttentionBias, Component, Embedding, Head, MLPBias
from interp.errors import NotApplicable

# How much of each part is there, 0 to 1.
Kept = Float[Tensor, "intervention component"]
# The parts that compute something; a bias without its part is nobody's effect.
WRITERS = ("embed", "head", "mlp")
_TOKENS, _TEXTS = 128, 32
# How far half of all parts may be from the middle, of the vector's largest dimension.
_BENT = 1e-3


@dataclass(frozen=True, slots=True)
class NormBias(Component):
    """The bias of a norm, which `number` counts in the order of their calls."""

    number: int

    kind = "norm bias"

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"

    def columns(self) -> dict[str, Any]:
        return {"layer": self.number}


@dataclass(frozen=True, slots=True)
class Rest(Component):
    """What is there when no component is."""

    kind = "rest"

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True, slots=True)
class Parts:
    """The vector on one pair, and what every part of `names` contributes to it; `direct` is what
    taking the part out of the vector adds to the log-odds; NaN for biases and the rest.

    `error` is the largest difference between the vector and the sum of its parts, `frozen` that
    between the run with all outputs frozen and the model's own.
    """

    names: tuple[Component, ...]
    vector: Float[Tensor, " d_model"]
    contributions: Float[Tensor, "component d_model"]
    direct: Float[Tensor, " component"]
    error: float
    frozen: float

    @property
    def scale(self) -> float:
        """How large the contributions to one dimension are together, at most."""
        return float(self.contributions.abs().sum(0).max())

    @property
    def shares(self) -> Float[Tensor, " component"]:
        """Each contribution along the vector, over the vector's squared length: they sum to 1."""
        along = einsum("component d_model, d_model -> component", self.contributions, self.vector)
        return along / self.vector.square().sum()


def parts(classifier: Classifier, places: Places, reading: Reading) -> Parts:
    """The parts on this pair.

    Raises  NotApplicable if MLPs are not found, a norm is of an unknown kind, the decision is not read
            from one token, or something else is computed on the way.
    """
    if len(places.mlp) != places.n_layers:
        raise NotApplicable(
            f"{len(places.mlp)} MLP output projections were found in {places.n_layers} layers of "
            f"{classifier.name}"
        )
    frozen = _Frozen(classifier, places, reading)
    n = len(frozen.names)
    alone, nothing, everything = torch.eye(n), torch.zeros(1, n), torch.ones(1, n)
    vectors = frozen.vectors(torch.cat([alone, nothing, everything, everything / 2]))
    none, whole, half = vectors[n:].unbind()
    bent = float((half - (none + whole) / 2).abs().max() / frozen.vector.abs().max())
    if not bent < max(_BENT, 8 * torch.finfo(frozen.heads[0].dtype).eps):
        raise NotApplicable(
            f"with all its parts frozen, {classifier.name}, a {classifier.origin.family}, still computes "
            "something on the residual stream (an adapter, say): the vector that is read is no sum of "
            "what its parts write"
        )
    contributions = torch.cat([vectors[:n] - none, none[None]])
    direct = torch.full((n + 1,), torch.nan, dtype=torch.float64)
    writers = [number for number, part in enumerate(frozen.names) if part.kind in WRITERS]
    direct[writers] = frozen.decisions(everything - alone[writers]) - frozen.decision
    return Parts(
        (*frozen.names, Rest()),
        frozen.vector,
        contributions,
        direct,
        float((contributions.sum(0) - frozen.vector).abs().max()),
        float((whole - frozen.vector).abs().max()),
    )


class _Frozen:
    """A pair's run on the token that is read, with every output and scale frozen."""

    def __init__(self, classifier: Classifier, places: Places, reading: Reading) -> None:
        self.classifier, self.places = classifier, places
        at, self.vector, self.decision = read_from(classifier, reading)
        self.token = {name: tensor[:, at : at + 1] for name, tensor in reading.inputs.items()}

        def there(kind: str) -> list[tuple[Tensor, Tensor]]:
            found = recorded(classifier, reading, getattr(places, kind))
            return [(given[0, at], result[0, at]) for given, result in found]

        self.embedding = [result for _, result in there("embedding")]
        self.norms = [
            FrozenNorm(place, given, result)
            for place, (given, result) in zip(places.norm, there("norm"), strict=True)
        ]
        self.heads, self.attention_bias = [], []
        for place, (z, _) in zip(places.attention, there("attention"), strict=True):
            weight, bias = kernel(place.module)
            W_O = rearrange(
                weight, "(head d_head) d_model -> head d_head d_model", head=places.n_heads
            )
            z = rearrange(z, "(head d_head) -> head d_head", head=places.n_heads)
            self.heads.append(einsum("head d_head, head d_head d_model -> head d_model", z, W_O))
            self.attention_bias.append(torch.zeros_like(weight[0]) if bias is None else bias)
        self.mlp, self.mlp_bias = [], []
        for place, (_, result) in zip(places.mlp, there("mlp"), strict=True):
            _, bias = kernel(place.module)
            self.mlp_bias.append(torch.zeros_like(result) if bias is None else bias)
            self.mlp.append(result - self.mlp_bias[-1])
        self.names = tuple(self._names())

    def _names(self) -> Iterator[Component]:
        yield Embedding()
        for layer in range(self.places.n_layers):
            yield from (Head(layer, head) for head in range(self.places.n_heads))
            yield AttentionBias(layer)
            yield MLP(layer)
            yield MLPBias(layer)
        yield from (NormBias(number) for number in range(len(self.norms)))

    def vectors(self, kept: Kept) -> Float[Tensor, "intervention d_model"]:
        """The vector with so much of the parts there. No token sees another, so that each set of parts
        is a token of one text."""
        found = []
        for chunk in kept.split(min(_TOKENS, self.classifier.limit)):
            token = {name: tensor.repeat(1, len(chunk)) for name, tensor in self.token.items()}
            with self._only(chunk, axis=0), last_hidden(self.classifier) as hidden:
                self.classifier.logits(token)
            found.append(hidden[0][0].detach().double().cpu())
        return torch.cat(found)

    def decisions(self, kept: Kept) -> Float[Tensor, " intervention"]:
        """The log-odds with so much of the parts there; each set of parts is a text of one token."""
        found = []
        for chunk in kept.split(_TEXTS):
            token = {name: tensor.repeat(len(chunk), 1) for name, tensor in self.token.items()}
            with self._only(chunk, axis=1):
                found.append(self.classifier.decide(token))
        return torch.cat(found)

    @contextmanager
    def _only(self, kept: Kept, axis: int) -> Iterator[None]:
        """Inside, the model writes so much of its parts; `axis` is where one of size 1 belongs."""
        columns = {each: number for number, each in enumerate(self.names)}
        weights = kept.to(self.heads[0])

        def of(*wanted: Component) -> Float[Tensor, "intervention component"]:
            return weights[:, [columns[part] for part in wanted]]

        def embedding(number: int, given: Tensor, result: Tensor) -> Tensor:
            return (of(Embedding()) * self.embedding[number]).unsqueeze(axis)

        def attention(layer: int, given: Tensor, result: Tensor) -> Tensor:
            own = [Head(layer, head) for head in range(self.places.n_heads)]
            heads = einsum(
                "intervention head, head d_model -> intervention d_model",
                of(*own),
                self.heads[layer],
            )
            bias = of(AttentionBias(layer)) * self.attention_bias[layer]
            return (heads + bias).unsqueeze(axis)

        def mlp(layer: int, given: Tensor, result: Tensor) -> Tensor:
            own = of(MLP(layer)) * self.mlp[layer]
            return (own + of(MLPBias(layer)) * self.mlp_bias[layer]).unsqueeze(axis)

        def norm(number: int, given: Tensor, result: Tensor) -> Tensor:
            bias = of(NormBias(number)) * self.norms[number].bias
            return self.norms[number].scaled(given) + bias.unsqueeze(axis)

        with ExitStack() as stack:
            for places, change in (
                (self.places.embedding, embedding),
                (self.places.attention, attention),
                (self.places.mlp, mlp),
                (self.places.norm, norm),
            ):
                stack.enter_context(changed(places, change))
            yield


def read_from(
    classifier: Classifier, reading: Reading
) -> tuple[int, Float[Tensor, " d_model"], float]:
    """The one position whose last vector the decision depends on, that vector, and the log-odds.

    Raises  NotApplicable if it depends on several.
    """
    with torch.enable_grad(), last_hidden(classifier) as found:
        logits = classifier.model(**reading.inputs).logits
        hidden = found[0]
        (gradient,) = torch.autograd.grad(classifier.log_odds(logits).sum(), hidden)
    positions: Sequence[int] = gradient[0].abs().amax(-1).nonzero().flatten().tolist()
    if len(positions) != 1:
        raise NotApplicable(
            f"{classifier.name} reads its decision from {len(positions)} tokens, not from one"
        )
    at = positions[0]
    decision = float(classifier.log_odds(logits.detach()).double()[0])
    return at, hidden[0, at].detach().double().cpu(), decision


@contextmanager
def last_hidden(classifier: Classifier) -> Iterator[list[Tensor]]:
    """A list that receives the last hidden state `[batch pos d_model]` of the run inside."""
    found: list[Tensor] = []
    base = getattr(classifier.model, classifier.model.base_model_prefix)

    def note(module: Any, given: Any, result: Any) -> None:
        found.append(result[0])

    handle = base.register_forward_hook(note)
    try:
        yield found
    finally:
        handle.remove()
