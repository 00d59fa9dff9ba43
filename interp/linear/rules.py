"""What a backward pass takes for the slope of the parts that are not linear: rules, as values.

Norms      `true`, or `frozen`: their scales are constants of the run. Each by itself: those that read the
           residual stream in a block, those of queries and keys, the final one.
Attention  `true`; `frozen`: patterns are constants, nothing flows back into queries and keys; `gim`: what
           flows back through the softmax does so at temperature 2, and what reaches queries, keys and
           values is a quarter, a quarter and a half of it.
Activation `true` slope, or the `ratio` f(x) / x, so that x times the slope is f(x).
Gate       `true`, or `half`: of the product of a gate and what it multiplies, each gets half.

A rule changes what flows back and nothing of what is computed. With frozen parts it is the gradient of the
model that has these parts frozen; `ratio` is that of the model with the ratios of the run for activations;
`half` and `gim` are no gradients.

Limits  Norms after a sub-layer and soft caps have no rule of their own: no model here has them yet.
Source  Ali et al. 2022, XAI for Transformers (frozen norms and patterns: LN-rule, AH-rule); Rezaei Jafari et
        al. 2025, RelP, arXiv:2508.21258 and its code (LN-rule, Identity-rule, Half-rule; attention as it
        is); Edin et al. 2025, GIM, arXiv:2505.17630 and its code (norms frozen, softmax at temperature 2,
        gradients of q, k, v times .25, .25, .5, of the gate and of what it multiplies times .5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from interp.errors import UsageError

NormRule = Literal["true", "frozen"]
AttentionRule = Literal["true", "frozen", "gim"]
ActivationRule = Literal["true", "ratio"]
GateRule = Literal["true", "half"]


@dataclass(frozen=True)
class Rules:
    """One rule for each part."""

    block_norm: NormRule = "true"
    qk_norm: NormRule = "true"
    final_norm: NormRule = "true"
    attention: AttentionRule = "true"
    activation: ActivationRule = "true"
    gate: GateRule = "true"

    @property
    def scores_queries(self) -> bool:
        """Whether anything flows back into queries and keys."""
        return self.attention != "frozen"


# What can be frozen, and the parts that are then.
_NORMS = ("block_norm", "qk_norm", "final_norm")
_FROZEN = {"norm": _NORMS, **{each: (each,) for each in _NORMS}, "pattern": ("attention",)}

TRUE = Rules()


def frozen(*parts: str, rules: Rules = TRUE) -> Rules:
    """These rules with some parts frozen; `norm` is every norm.

    Raises  UsageError for another part.
    """
    for part in parts:
        if part not in _FROZEN:
            raise UsageError(f"what can be frozen is {', '.join(_FROZEN)}, got {part!r:.60}")
        for name in _FROZEN[part]:
            changed: dict[str, Any] = {name: "frozen"}
            rules = replace(rules, **changed)
    return rules


RELP = frozen("norm", rules=Rules(activation="ratio", gate="half"))
GIM = frozen("norm", rules=Rules(attention="gim", gate="half"))
