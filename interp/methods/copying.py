"""How much every head copies and matches, by its weights alone.

Method  The copying score is Σλ/Σ|λ| over the eigenvalues of tokens → OV → logits; copying accuracy the
        share of sampled tokens that raise themselves above all others of the sample; the matching score
        the sum for tokens → QK → tokens at a distance. As a control every token is paired with another.
Units   Scores from −1 to 1, shares of tokens.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.methods import circuits
from interp.methods.circuits import Factors, Start
from interp.transformer import Transformer

STARTS: dict[str, Start] = {"embedding": "W_E", "first_mlp": "after the first MLP"}
Scores = Float[np.ndarray, " head"]


def copying(model: Transformer, sample: int, seed: int = 0) -> tuple[dict[str, Scores], Scores]:
    """`copying_NAME` and `accuracy_NAME` of all heads for tokens as embedded and, if there are MLPs, after
    the first one; and the copying scores of all heads with tokens as embedded paired at random.

    Raises  NotApplicable for a model that writes other tokens than it reads.
    """
    order = torch.randperm(model.config.d_vocab, generator=torch.Generator().manual_seed(seed))
    values = [circuits.output_value(model, layer) for layer in range(model.config.n_layers)]
    found, control = dict[str, Scores](), np.zeros(0)
    for name, start in STARTS.items():
        if name != "embedding" and not model.config.d_mlp:
            continue
        tokens = circuits.vocabulary(model, start)
        middle = circuits.copying_middle(tokens)
        found[f"copying_{name}"] = _each(values, circuits.eigenvalue_score, middle)
        found[f"accuracy_{name}"] = _each(values, circuits.copying_accuracy, tokens, order[:sample])
        if name == "embedding":
            shuffled = circuits.copying_middle(tokens, order)
            control = _each(values, circuits.eigenvalue_score, shuffled)
    return found, control


def matching(model: Transformer, offsets: Sequence[int]) -> dict[str, Scores]:
    """`matching_Δ` of all heads at every distance; one distance where there is no rotation.

    Raises  NotApplicable for a model with q/k norm.

    >>> list(matching(model, [0]))
    ['matching_0']
    """
    offsets = offsets if model.config.positions == "rotary" else offsets[:1]
    each = {
        offset: [circuits.query_key(model, layer, offset) for layer in range(model.config.n_layers)]
        for offset in offsets
    }
    middle = circuits.matching_middle(circuits.vocabulary(model, "W_E"))
    return {
        f"matching_{offset}": _each(values, circuits.eigenvalue_score, middle)
        for offset, values in each.items()
    }


def _each(values: Iterable[Factors], score: Callable[..., Tensor], *given: Any) -> Scores:
    return torch.cat([score(circuit, *given) for circuit in values]).double().cpu().numpy()
