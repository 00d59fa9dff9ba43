"""What a layer's heads and neurons write, the residual stream that they write to, how a layer reads it, and
how far the change of one token spreads in it."""

import pandas as pd
import torch

from interp import sites
from interp.components import Head
from interp.methods.identities.isolation import Isolation
from interp.report import Section, Table, Text
from interp.transformer import Run, Transformer
from interp.views.pictures import maps, statistics

_SHOWN = 10
_DOES = {
    "layernorm": "LayerNorm subtracts the mean of a position's residual stream and divides by its "
    "standard deviation: the mean becomes 0 and the root mean square 1.",
    "rmsnorm": "RMSNorm divides a position's residual stream by its root mean square, which becomes 1; the "
    "mean is left in.",
}


def residual(model: Transformer, run: Run, shown: Head) -> Section:
    """What the heads of one layer write, and the residual stream's length at every depth."""
    cache, layer, attn = run.cache, shown.layer, model.block(shown.layer).attn
    written = cache[sites.z(layer)][0, :, shown.index] @ attn.W_O[shown.index]
    streams = torch.cat([cache.stack("resid_pre")[:1], cache.stack("resid_post")])[:, 0]
    depth = ["embedding", *(f"after layer {each}" for each in range(model.config.n_layers))]
    title = "Length of the residual stream, log₁₀, layer by layer and position by position"
    named = {
        **{"v": cache[sites.v(layer)], "z": cache[sites.z(layer)], "W_O": attn.W_O},
        f"what {shown} writes": written,
        "attn_out": cache[sites.attn_out(layer)],
        "stream before the layer": cache[sites.resid_pre(layer)],
        "stream after the layer": cache[sites.resid_post(layer)],
    }
    return Section(
        "What the heads write, and the residual stream",
        [
            Text(
                "A head's pattern mixes the values v of the positions it attends to into `z`, and its "
                "rows of `W_O` turn z into a vector of the residual stream. All heads' vectors and the bias "
                "are added to it, and so is what the MLP writes; nothing is ever overwritten."
            ),
            maps(
                {title: streams.float().norm(dim=-1).log10()},
                ("depth", "pos"),
                rows=depth,
                columns=model.to_str_tokens(run.tokens),
                scale="sequential",
                note="The first position is often an attention sink with a residual stream a "
                "hundred times as long as the others'.",
            ),
            statistics("writes", named),
        ],
    )


def norms(model: Transformer, run: Run, layer: int) -> Section:
    """What the norm before this layer's attention makes of the residual stream."""
    kind, labels = model.config.norm, model.to_str_tokens(run.tokens)
    if kind == "none":
        return Section(
            "Normalization",
            [Text("This model has no norms: layers read the residual stream as it is.")],
        )
    before, after = (
        run.cache[site(layer)][0].float() for site in (sites.resid_pre, sites.ln1_normalized)
    )
    frame = pd.DataFrame(
        {
            "position": range(len(labels)),
            "token": labels,
            "mean before": before.mean(-1),
            "length before": before.norm(dim=-1),
            "divided by": run.cache[sites.ln1_scale(layer)][0, :, 0].float(),
            "mean after": after.mean(-1),
            "root mean square after": after.pow(2).mean(-1).sqrt(),
        }
    )
    title = f"The norm before the attention of layer {layer}"
    return Section(
        "Normalization: layers see directions, not lengths",
        [
            Text(
                f"{_DOES[kind]} The norm's own weight then stretches each dimension. Only the copy that the "
                "layer reads is normalized; the residual stream itself is not."
            ),
            Table("norm", frame, title=title, first_rows=len(frame)),
        ],
    )


def mlp(model: Transformer, run: Run, layer: int) -> Section:
    """The most active neurons, and how long a vector each writes."""
    config = model.config
    if not config.d_mlp:
        return Section("MLP", [Text("This model has attention only.")])
    read = {"mlp_pre": sites.mlp_pre, "mlp_post": sites.mlp_post, "mlp_out": sites.mlp_out}
    named = {kind: run.cache[site(layer)] for kind, site in read.items()}
    post = named["mlp_post"][0, -1].float()
    strongest = post.abs().topk(min(_SHOWN, len(post))).indices
    lengths = model.block(layer).mlp.W_out.detach()[strongest].float().norm(dim=-1)
    frame = pd.DataFrame(
        {
            "neuron": strongest.tolist(),
            "activation": post[strongest],
            "length of what it writes": lengths * post[strongest].abs(),
        }
    )
    (*_, last) = model.to_str_tokens(run.tokens)
    gated = (
        "multiplied by a second reading of the residual stream (a gated MLP), "
        if config.gated
        else ""
    )
    return Section(
        "MLP: what each position computes by itself",
        [
            Text(
                f"{config.d_mlp:,} neurons, {config.d_mlp / config.d_model:.2g} for each of the "
                f"{config.d_model} dimensions of the residual stream. Each reads one direction of it, goes "
                f"through {config.activation}, {gated}and writes one direction back. No neuron "
                "sees another position."
            ),
            Table(
                "neurons",
                frame,
                title=f"The most active neurons of layer {layer} at the last token, {last!r}",
            ),
            statistics("mlp", named),
        ],
    )


def isolated(model: Transformer, run: Run, changed: Isolation) -> Section:
    """The change of the residual stream at every layer and position; `run` is the one before it."""
    labels = model.to_str_tokens(run.tokens)
    new = model.to_single_str_token(changed.replacement)
    return Section(
        "Only attention moves information between positions",
        [
            Text(
                f"Token {changed.position}, {labels[changed.position]!r}, is replaced by {new!r}. With "
                "attention free to react the change spreads to later positions. With every attn_out "
                f"frozen at its value before the change, the largest change at any other position is "
                f"**{changed.leak:.1g}**: norms, MLPs and the embedding stay within their position."
            ),
            maps(
                {"Attention free": changed.free, "Every attn_out frozen": changed.frozen},
                ("layer", "pos"),
                **{"columns": labels, "unit": "relative change", "scale": "sequential"},
            ),
        ],
    )
