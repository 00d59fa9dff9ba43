"""Which heads copy, which attend to their own token, and which heads feed which, by their weights alone?

Method  A head's OV circuit says what reading a token does to the logits, its QK circuit which tokens it
        attends to. The copying score is Σλ/Σ|λ| over the eigenvalues of tokens → OV → logits, computed
        on a d_head × d_head product; copying accuracy is the share of sampled tokens that raise
        themselves above all others of the sample. A head is called a copying head only if its score lies
        beyond every control and its accuracy above one half. Both are taken for tokens as embedded and
        after the first MLP. The matching score is the same sum for tokens → QK → tokens at a distance Δ
        (rotary models: W_Q R(Δ) W_Kᵀ). Composition is ‖W_OV · W‖ / (‖W_OV‖ ‖W‖) for an earlier head's OV
        and a later head's W_QK (Q), W_QKᵀ (K) or W_OV (V). As controls tokens are paired with other
        tokens, and the residual stream between two heads is rotated at random.
Units   Scores from −1 to 1; shares of tokens; composition from 0 to 1.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
See     `circuit` says which of these pairs a task uses.
Limits  Norms' weights are included, their scales and all biases are not. Weights say what a head could
        do with what it may never be given.
"""

from typing import Annotated

import pandas as pd

from interp import components, stats
from interp.errors import NotApplicable
from interp.methods import circuits, composition
from interp.report import Check, Headline, NotRun, Report, Section, Text
from interp.study import Range, Tokens, progress, study
from interp.tasks import prompt_tokens
from interp.views import circuits as shown
from interp.views import rules, tolerance

OFFSETS = [0, 1]
# The share of sampled tokens that a copying head raises above all others, and the share of pairs that
# compose beyond every rotated one.
HALF, COMPOSED = 0.5, 0.02
PROMPT = "When Mary and John went to the store, John gave a drink to"


@study(
    expects="Some heads copy: their score lies above that of every head whose tokens are paired at random, "
    "and most tokens that they read raise themselves above all others; and more pairs of heads compose "
    "than would if the residual stream were rotated between them.",
    task=None,
    cost=25,
)
def head_circuits(
    model,
    task,
    *,
    seed: int = 0,
    offsets: list[Annotated[int, Range(0)]] = OFFSETS,
    sample: Tokens = 500,
) -> Report:
    every, not_run, composed = components.heads(model), [], {}
    found, control = circuits.copying(model, sample, seed)
    try:
        found |= circuits.matching(model, offsets)
    except NotApplicable as reason:
        not_run.append(NotRun("QK circuits, Q- and K-composition", str(reason)))
    for kind in progress("QKV", "composition"):
        try:
            composed[kind] = composition.compositions(model, kind, offset=offsets[0], seed=seed)
        except NotApplicable:
            continue
    heads = pd.DataFrame([head.columns() for head in every]).assign(**found)
    scores, accuracy = found["copying_embedding"], found["accuracy_embedding"]
    beyond = (stats.against_controls(scores, control).share >= 1) & (scores > 0)
    copies = beyond & (accuracy > HALF)
    over = {kind: each.share_beyond for kind, each in composed.items()}
    holds = copies.any() and max(over.values(), default=0) > COMPOSED
    best, pairs = int((-scores).argsort()[0]), shown.pairs(composed)
    composes, error = shown.strongest(pairs), circuits.error(model, prompt_tokens(model, PROMPT))
    n_copies, n_tokens = int(copies.sum()), min(sample, model.config.d_vocab)
    return Report(
        answer=f"{n_copies} of {len(every)} heads of {model.name} copy: their score lies beyond every "
        "control, and more than half of the sampled tokens raise themselves above all others. "
        f"{int(beyond.sum()) - n_copies} more have such a score without that: they raise what they read, "
        f"and other tokens more. The largest score is that of {every[best]} ({scores[best]:+.2f}, accuracy "
        f"{accuracy[best]:.0%}){composes and f'; {composes}'}.",
        verdict="supported" if holds else "not supported",
        inputs=[Text(model.bos.sentence)],
        headlines=[
            Headline("heads that copy", str(n_copies), note=f"of {len(every)}, score and accuracy"),
            Headline("score beyond every control", str(beyond.sum()), note=f"of {len(every)}"),
            Headline("largest copying score", scores[best], note="tokens as embedded"),
            *(
                Headline(
                    f"{kind}-composition beyond control", f"{share:.0%}", note="of pairs of heads"
                )
                for kind, share in over.items()
            ),
        ],
        sections=[
            Section("Every head's circuits", shown.heads(heads, model.config, offsets)),
            *shown.composition(composed, pairs, model.config),
        ],
        controls=[
            rules.rule(
                "tokens paired at random (one pairing of the whole vocabulary, the scores of all heads), and "
                "the residual stream rotated at random between two heads. Supported: at least one head copies"
                f" in both senses, and more than {COMPOSED:.0%} of some kind of pairs compose beyond every "
                "rotated one.",
                f"the heads of {model.name}; weights are not sampled, the {n_tokens} tokens of the accuracy "
                "are.",
                f"an accuracy from {n_tokens} tokens is known to ± {0.98 / n_tokens**0.5:.1%} at one half, "
                "95 times in 100.",
            ),
            Text(
                f"With every token paired with another one, copying scores lie between {control.min():+.2f} "
                f"and {control.max():+.2f}. Copying accuracy by chance is one in {n_tokens}."
            ),
            *shown.control(composed),
        ],
        checks=[
            Check(
                "OV circuits against what the last layer's heads write",
                error,
                tolerance.step(model),
            )
        ],
        not_run=not_run,
        files={"circuits": heads, "composition": pairs},
    )
