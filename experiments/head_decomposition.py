"""Is concatenating the heads and projecting the same as adding up what each head writes?

Method  In every layer, multiply the concatenated z of all heads by W_O, and, separately, multiply
        each head's z by its own rows of W_O and add up. Compare the two, and both with what the
        model wrote. A control gives every head its neighbour's rows and must differ. A head's share
        of attn_out is ⟨head, attn_out⟩ / ‖attn_out‖²; shares and the bias's share add up to 1.
        The stream before the final norm is then the sum of everything that was written to it.
Units   Differences relative to ‖attn_out‖ at the same position, the largest position counts.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
Limits  One prompt. A share says how much of the output lies along a head's write, not what the
        model uses it for. The first position is reported apart: in many models it is an attention
        sink whose stream is a hundred times as long as the others'.
"""

import numpy as np
import pandas as pd

from interp import sites
from interp.components import Head
from interp.methods.decompose import decompose, needs
from interp.methods.head_sum import head_sum, relative
from interp.report import (
    Chart,
    Check,
    Formula,
    Headline,
    Heatmap,
    Maps,
    NotRun,
    Report,
    Section,
    Series,
    Table,
    Text,
    TokenStrip,
)
from interp.study import Layer, study
from interp.tasks import prompt_tokens
from interp.views import tolerance


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
    config = model.config
    layer = layer % config.n_layers
    tokens = prompt_tokens(model, prompt)
    labels = model.to_str_tokens(tokens)
    end = sites.resid_post(config.n_layers - 1)
    attn_outs = [sites.attn_out(each) for each in range(config.n_layers)]
    run = model.run(tokens, keep=[*needs(model, end), *attn_outs], logits_at=-1)

    sums = [head_sum(model, run, each) for each in range(config.n_layers)]
    stream = decompose(model, run, end)
    layers = pd.DataFrame(
        {
            "layer": range(config.n_layers),
            "largest_difference": [float((s.summed - s.concatenated).abs().max()) for s in sums],
            "relative_difference": [relative(s.summed - s.concatenated, s.attn_out) for s in sums],
            "difference_from_model": [relative(s.summed - s.attn_out, s.attn_out) for s in sums],
            "permuted_difference": [relative(s.permuted - s.attn_out, s.attn_out) for s in sums],
            "bias_share": [float(s.bias_share.mean()) for s in sums],
        }
    )
    shares = np.stack([s.head_share[0].double().cpu().numpy() for s in sums])
    closing = max(float((s.head_share.sum(-1) + s.bias_share - 1).abs().max()) for s in sums)
    same, model_same = layers.relative_difference.max(), layers.difference_from_model.max()
    differs = layers.permuted_difference.min()
    wide = tolerance.step(model)
    together = max(float((s.head_share.abs().sum(-1) + s.bias_share.abs()).max()) for s in sums)
    closes = tolerance.rounding(model.dtype, together, config.n_heads + 1)

    checks = [
        Check("the two computations agree, relative, worst layer", same, wide),
        Check("the sum agrees with the model's attn_out, worst layer", model_same, wide),
        Check("shares of heads and bias add up to 1, worst position", closing, closes),
        Check(
            "the stream is the sum of its parts, worst position",
            float(stream.error.max()),
            tolerance.through(model),
        ),
    ]
    not_run = []
    if config.n_heads > 1:
        checks.append(
            Check(
                "heads on their neighbour's rows of W_O, best layer",
                differs,
                max(0.01, wide),
                control=True,
            )
        )
    else:
        not_run.append(NotRun("heads on their neighbour's rows of W_O", "each layer has one head"))
    holds = all(check.passed for check in checks)
    return Report(
        answer=f"{'Yes' if holds else 'No'}: in all {config.n_layers} layers of {model.name} the two "
        f"computations differ by at most {same:.1e} of the output"
        + (
            "."
            if not_run
            else f"; swapping rows between heads changes it by {differs:.0%} or more."
        ),
        verdict="supported" if holds else "not supported",
        headlines=[
            Headline(
                "largest relative difference", float(same), n=config.n_layers, note="over layers"
            ),
            Headline(
                "permuted heads, smallest difference",
                float(differs),
                note="relative; must be large",
            ),
            Headline(
                "stream as a sum, error",
                float(stream.error.max()),
                note=f"{len(stream.components)} parts, worst position",
            ),
        ],
        inputs=[
            TokenStrip(labels, title="The prompt, as the model reads it"),
            Text(model.bos.sentence),
        ],
        sections=[
            _algebra(sums[layer], layer, labels),
            Section(
                "Both computations, layer by layer",
                [Table("layers", layers, first_rows=config.n_layers)],
                intro="The largest difference over positions and dimensions, as it is and relative "
                "to the length of attn_out at the same position.",
            ),
            _heads(sums, shares, layer),
            _stream(stream, config.n_layers),
        ],
        checks=checks,
        not_run=not_run,
        files={"head_shares": _share_table(shares, sums)},
    )


def _algebra(done, layer: int, labels: list[str]) -> Section:
    """The sum written out in numbers, at the last position and in four dimensions of the stream."""
    dims = 4
    rows = {
        str(Head(layer, head)): done.head_out[0, -1, head, :dims]
        for head in range(done.head_out.shape[2])
    }
    rows["b_O"] = done.bias[:dims]
    rows["added up"] = done.summed[0, -1, :dims]
    rows["concatenated and projected"] = done.concatenated[0, -1, :dims]
    rows["written by the model"] = done.attn_out[0, -1, :dims]
    frame = pd.DataFrame(
        [[name, *values.tolist()] for name, values in rows.items()],
        columns=["written by", *(f"dimension {dim}" for dim in range(dims))],
    )
    return Section(
        "The algebra, in this model's numbers",
        [
            Formula(
                "concat(z₀, z₁, …) · W_O  =  [z₀ z₁ …] · [ W_O⁰ ; W_O¹ ; … ]  =  z₀ W_O⁰ + z₁ W_O¹ + …",
                "W_O is a stack of blocks of rows, one block a head.",
            ),
            Table(
                "algebra",
                frame,
                title=f"Layer {layer} at the last token, {labels[-1]!r}",
                first_rows=len(frame),
            ),
        ],
    )


def _heads(sums, shares: np.ndarray, layer: int) -> Section:
    """Who writes how much: shares, lengths, and how alike the heads of one layer write."""
    norms = np.stack([s.head_out[0].norm(dim=-1).double().cpu().numpy() for s in sums])
    later = slice(1, None) if shares.shape[1] > 1 else slice(None)
    return Section(
        "What each head contributes",
        [
            Maps(
                [
                    Heatmap(
                        "Share of attn_out, mean over positions after the first",
                        shares[:, later].mean(1),
                        "layer",
                        "head",
                    ),
                    Heatmap(
                        "Share of attn_out at the first position", shares[:, 0], "layer", "head"
                    ),
                    Heatmap(
                        "Length of what the head writes, mean after the first position",
                        norms[:, later].mean(1),
                        "layer",
                        "head",
                        scale="sequential",
                    ),
                ]
            ),
            Maps(
                [
                    Heatmap(
                        f"Cosine between heads of layer {layer}, mean after the first position",
                        sums[layer].cosines[0, later].mean(0).double().cpu().numpy(),
                        "head",
                        "other head",
                        low=-1,
                        high=1,
                    )
                ],
                note="Heads are not orthogonal: they may write the same thing, or undo each other, "
                "which is why shares can be negative or above 1.",
            ),
        ],
    )


def _stream(stream, n_layers: int) -> Section:
    """How the final stream comes about: the share of every layer's attention and MLP in it."""
    final = stream.stream[0, -1]
    along = ((stream.parts[:, 0, -1] @ final) / (final @ final)).double().cpu().numpy()
    kinds = {
        "embedding": ("embed", "pos_embed"),
        "attention": ("head", "attn_bias"),
        "MLP": ("mlp", "mlp_bias"),
    }
    depth = ["embedding", *(f"layer {each}" for each in range(n_layers))]
    totals = {name: np.zeros(n_layers + 1) for name in kinds}
    for component, share in zip(stream.components, along, strict=True):
        name = next(name for name, members in kinds.items() if component.kind in members)
        totals[name][0 if component.layer is None else component.layer + 1] += share
    frame = pd.DataFrame(
        {
            "component": [str(c) for c in stream.components],
            "kind": [c.kind for c in stream.components],
            "share": along,
        }
    ).sort_values("share", key=abs, ascending=False)
    return Section(
        "The whole stream as a stack of contributions",
        [
            Chart(
                "Share of the final stream at the last token, by where it was written",
                "stacked",
                [Series(name, depth, values) for name, values in totals.items()],
                "written by",
                "share of the final stream",
            ),
            Table("stream", frame, title="Every part of the final stream at the last token"),
        ],
        intro="A part's share is ⟨part, stream⟩ / ‖stream‖²: positive where it points with the final "
        "stream, negative where later parts undo it. All shares add up to 1.",
    )


def _share_table(shares: np.ndarray, sums) -> pd.DataFrame:
    n_layers, _, n_heads = shares.shape
    later = slice(1, None) if shares.shape[1] > 1 else slice(None)
    return pd.DataFrame(
        {
            "layer": np.repeat(np.arange(n_layers), n_heads),
            "head": np.tile(np.arange(n_heads), n_layers),
            "share": shares[:, later].mean(1).ravel(),
            "share_first_position": shares[:, 0].ravel(),
        }
    )
