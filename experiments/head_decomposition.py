"""Is concatenating the heads and projecting the same as adding up what each head writes?

Method  In every layer, multiply the concatenated z of all heads by W_O, and, separately, multiply
        each head's z by its own rows of W_O and add up. Compare the two, and both with what the
        model wrote. A control gives every head its neighbour's rows and must differ. A head's share
        of attn_out is ⟨head, attn_out⟩ / ‖attn_out‖²; shares and the bias's share add up to 1.
        The residual stream before the final norm is then the sum of everything that was written to it.
Units   Differences relative to ‖attn_out‖ at the same position, the largest position counts.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
Limits  One prompt. A share says how much of the output lies along a head's write, not what the
        model uses it for. The first position is reported apart: in many models it is an attention
        sink whose residual stream is a hundred times as long as the others'.
"""

import pandas as pd

from interp import sites
from interp.methods.decompose import decompose, needs
from interp.methods.identities.head_sum import head_sum
from interp.report import Check, Headline, NotRun, Report, Section, Table
from interp.study import Layer, study
from interp.tasks import prompt_tokens
from interp.views import pictures, rules, tolerance, writes


@study(
    expects="In every layer the two computations agree to the rounding of the number format (some 1e-5 "
    "of the output in float32), and permuted heads do not.",
    task=None,
    cost=2,
)
def head_decomposition(
    model,
    task,
    *,
    prompt: str = "When Mary and John went to the store, John gave a drink to",
    layer: Layer = -1,
) -> Report:
    n_layers, layer = model.config.n_layers, layer % model.config.n_layers
    tokens = prompt_tokens(model, prompt)
    end = sites.resid_post(n_layers - 1)
    kept = [*needs(model, end), *map(sites.attn_out, range(n_layers))]
    run = model.run(tokens, keep=kept, logits_at=-1)
    sums = [head_sum(model, run, each) for each in range(n_layers)]
    stream = decompose(model, run, end)
    layers = pd.DataFrame([each.differences for each in sums]).rename_axis("layer").reset_index()
    layers["bias_share"] = [float(each.bias_share.mean()) for each in sums]

    checks, not_run = closing(model, sums, stream, layers)
    verdict = rules.identities(checks)
    same, differs = layers.relative_difference.max(), layers.permuted_difference.min()
    error, n_parts = float(stream.error.max()), len(stream.components)
    swapped = f"; swapping rows between heads changes it by {differs:.0%} or more"
    return Report(
        answer=f"{'Yes' if verdict == 'supported' else 'No'}: in all {n_layers} layers of {model.name} the "
        f"two computations differ by at most {same:.1e} of the output{'' if not_run else swapped}.",
        verdict=verdict,
        headlines=[
            Headline("largest relative difference", same, n=n_layers, note="over layers"),
            Headline(
                "permuted heads, smallest difference", differs, note="relative; must be large"
            ),
            Headline("stream as a sum, error", error, note=f"{n_parts} parts, worst position"),
        ],
        inputs=pictures.prompt(model, tokens),
        sections=[
            Section(
                "The algebra, in this model's numbers",
                writes.algebra(sums[layer], layer, model.to_str_tokens(tokens)[-1]),
            ),
            Section(
                "Both computations, layer by layer",
                [Table("layers", layers, first_rows=n_layers)],
                intro="The largest difference over positions and dimensions, as it is and relative "
                "to the length of attn_out at the same position.",
            ),
            Section("What each head contributes", writes.heads(sums, layer)),
            Section(
                "The whole residual stream as a stack of contributions",
                writes.stream(stream, n_layers),
                intro="A component's share is ⟨component, stream⟩ / ‖stream‖²: positive where it points with "
                "the final residual stream, negative where later ones undo it. All shares add up to 1.",
            ),
        ],
        checks=checks,
        not_run=not_run,
        files={"head_shares": writes.head_shares(sums)},
    )


def closing(model, sums, stream, layers) -> tuple[list[Check], list[NotRun]]:
    """That both sums close, and that the one over heads does not with their rows of W_O swapped."""
    wide, n_heads = tolerance.step(model), model.config.n_heads
    shares = max(
        float((each.head_share.sum(-1) + each.bias_share - 1).abs().max()) for each in sums
    )
    sizes = [float((each.head_share.abs().sum(-1) + each.bias_share.abs()).max()) for each in sums]
    rounded = tolerance.rounding(model.dtype, max(sizes), n_heads + 1)
    same, own = layers.relative_difference.max(), layers.difference_from_model.max()
    error, through = float(stream.error.max()), tolerance.through(model)
    checks = [
        Check("the two computations agree, relative, worst layer", same, wide),
        Check("the sum agrees with the model's attn_out, worst layer", own, wide),
        Check("shares of heads and bias add up to 1, worst position", shares, rounded),
        Check("the stream is the sum of its parts, worst position", error, through),
    ]
    swapped = "heads on their neighbour's rows of W_O"
    if n_heads == 1:
        return checks, [NotRun(swapped, "each layer has one head")]
    differs, least = layers.permuted_difference.min(), max(0.01, wide)
    return [*checks, Check(f"{swapped}, best layer", differs, least, control=True)], []
