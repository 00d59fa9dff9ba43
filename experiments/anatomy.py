"""What happens inside the model between a prompt and its next word?

Method  One forward pass on one prompt, every intermediate kept, walked through in order. Each step
        is computed again from the tensors that the step before shows, and compared with what the
        model has. At the end one token is changed, first freely, then with every attn_out frozen to
        the run before the change.
Units   As in the model: attention in shares of 1, streams in the model's own units.
Source  Vaswani et al. 2017, arXiv:1706.03762; Elhage et al. 2021, A Mathematical Framework for
        Transformer Circuits.
Limits  One prompt and, for the close view of attention, one head: a picture of how the model
        computes, not of what it computes in general.
"""

import pandas as pd
import torch

from interp import sites
from interp.components import Head
from interp.methods.isolation import isolation
from interp.methods.steps import recomputed
from interp.report import (
    Attention,
    Chart,
    Check,
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
from interp.study import AnyHead, AnyLayer, study
from interp.tasks import prompt_tokens
from interp.views import tolerance


@study(
    expects="Every step follows from the one before, and with attention frozen a changed token moves "
    "no other position.",
    task=None,
    cost=2,
)
def anatomy(
    model,
    task,
    *,
    prompt: str = "When Mary and John went to the store, John gave a drink to",
    layer: AnyLayer = -1,
    head: AnyHead = -1,
) -> Report:
    tokens = prompt_tokens(model, prompt)
    labels = model.to_str_tokens(tokens)
    run = model.run(tokens, keep="all")
    why = "as asked for" if min(layer, head) >= 0 else _why(layer, head)
    shown = _clearest_head(run.cache, layer, head)
    steps = recomputed(model, run)
    wide = tolerance.step(model)
    checks = [Check(name, error, wide) for name, error in steps.items()]
    alone = len(labels) == 1
    sections, not_run = [], []
    if alone:
        reason = "the prompt has one token, and no other position that anything could move to"
        not_run.append(NotRun("change at other positions", reason))
    else:
        # Not the last one: a causal model moves nothing to the left of it.
        change = min(len(labels) // 2, len(labels) - 2)
        replacement = _another(tokens[0].tolist(), change, model.config.d_vocab)
        moved = isolation(model, tokens, change, replacement)
        sections.append(_isolation(model, moved, labels, replacement))
        checks.append(Check("change at other positions, attention frozen", moved.leak, wide))
        checks.append(
            Check("change at other positions, attention free", moved.moved, wide, control=True)
        )
    verdict = "inconclusive" if alone or not checks[-1].passed else "supported"
    if not all(check.passed or check.control for check in checks):
        verdict = "not supported"
    best, probability = _best(model, run)
    return Report(
        answer=f"{model.name} turns {len(labels)} tokens into {model.config.n_layers} "
        f"round{'s' if model.config.n_layers != 1 else ''} of "
        f"“attend, then think” over one stream per position, and reads {best!r} from the last one "
        f"with probability {probability:.2f}; only attention moves information between positions.",
        verdict=verdict,
        headlines=[
            Headline("most likely next token", best, note=f"probability {probability:.3f}"),
            Headline("largest error of a recomputed step", max(steps.values()), note="relative"),
            *(
                []
                if alone
                else [
                    Headline(
                        "other positions move, attention frozen",
                        moved.leak,
                        note=f"free: {moved.moved:.2g}, relative",
                    )
                ]
            ),
        ],
        inputs=[
            TokenStrip(labels, title="The prompt, as the model reads it"),
            Text(model.bos.sentence),
        ],
        sections=[
            _tokens(model, run, labels),
            _attention(model, run, labels, shown, why),
            _output(model, run, labels, shown),
            _norms(model, run, labels, shown.layer),
            _mlp(model, run, labels, shown.layer),
            _unembedding(model, run, labels),
            *sections,
            _places(run),
        ],
        checks=checks,
        not_run=not_run,
    )


def _another(tokens: list[int], at: int, d_vocab: int) -> int:
    """A token that does not stand there: the nearest such one before, or after, or the next of the
    vocabulary."""
    others = [each for each in [*tokens[:at][::-1], *tokens[at + 1 :]] if each != tokens[at]]
    return others[0] if others else (tokens[at] + 1) % d_vocab


def _why(layer: int, head: int) -> str:
    """Which of the heads that were allowed is shown."""
    among = (
        f"of layer {layer} " if layer >= 0 else f"of those numbered {head} " if head >= 0 else ""
    )
    return f"the head {among}that, from the last token, looks hardest at one earlier word"


def _clearest_head(cache, layer: int, head: int) -> Head:
    """The head that attends most, from the last token, to one that is neither first nor last: of this
    layer and this number, of any where they are below 0."""
    pattern = cache.stack("pattern")[:, 0, :, -1]
    inner = pattern[..., 1:-1] if pattern.shape[-1] > 2 else pattern
    most = inner.amax(-1)
    allowed = torch.ones_like(most, dtype=torch.bool)
    if layer >= 0:
        allowed &= torch.arange(len(most), device=most.device)[:, None] == layer
    if head >= 0:
        allowed &= torch.arange(most.shape[1], device=most.device) == head
    best = int(most.masked_fill(~allowed, -1).argmax())
    return Head(*divmod(best, most.shape[1]))


def _best(model, run) -> tuple[str, float]:
    probabilities = run.logits[0, -1].softmax(-1)
    best = int(probabilities.argmax())
    return model.to_single_str_token(best), float(probabilities[best])


def _statistics(named: dict) -> pd.DataFrame:
    """Shape, mean, spread and range of tensors, masked scores left out."""
    rows = []
    for name, tensor in named.items():
        finite = tensor[tensor.isfinite()].float()
        rows.append(
            [
                name,
                " × ".join(map(str, tensor.shape)),
                float(finite.mean()),
                float(finite.std(correction=0)),
                float(finite.min()),
                float(finite.max()),
            ]
        )
    return pd.DataFrame(
        rows, columns=["tensor", "shape", "mean", "standard deviation", "min", "max"]
    )


def _tokens(model, run, labels) -> Section:
    config = model.config
    positions = {
        "learned": "A learned vector of the position is added to it.",
        "rotary": f"No position is added: queries and keys are turned by an angle that grows with "
        f"their position, in {config.rotary_dim} of a head's {config.d_head} dimensions.",
        "none": "Nothing says where a token stands but the causal mask.",
    }[config.positions]
    named = {"W_E": model.embed.W_E.detach(), "embedding": run.cache[sites.embed()]}
    if config.positions == "learned":
        named["position"] = run.cache[sites.pos_embed()]
    table = pd.DataFrame(
        {"position": range(len(labels)), "token": labels, "id": run.tokens[0].tolist()}
    )
    return Section(
        "Tokens and embedding",
        [
            Text(
                f"The tokenizer cuts the text into {len(labels)} of {config.d_vocab:,} known pieces. "
                f"Each becomes its row of `W_E`, a vector of d_model = {config.d_model} numbers: the "
                f"start of that position's residual stream. {positions}"
            ),
            Table("tokens", table, first_rows=len(labels)),
            Table("embedding", _statistics(named)),
        ],
    )


def _attention(model, run, labels, shown: Head, why: str) -> Section:
    config, cache = model.config, run.cache
    layer, head = shown.layer, shown.index
    rotary = config.positions == "rotary"
    q = cache[(sites.rot_q if rotary else sites.q)(layer)][0, :, head]
    k = cache[(sites.rot_k if rotary else sites.k)(layer)][0, :, head // config.group]
    similarity = (q @ k.T).float()
    scores = cache[sites.scores(layer)][0, head].float()
    pattern = cache[sites.pattern(layer)][0, head].float()
    several = f"{config.n_heads} heads work side by side, since one pattern can attend to one thing at a time"
    width = (
        f"here d_model = n_heads · d_head = {config.n_heads} · {config.d_head}, so they share the width"
        if config.n_heads * config.d_head == config.d_model
        else f"here n_heads · d_head = {config.n_heads * config.d_head} is not d_model {config.d_model}"
    )
    grouped = (
        f" Groups of {config.group} query heads share one key and value head."
        if config.group > 1
        else ""
    )
    order = [head, *(each for each in range(config.n_heads) if each != head)]
    grid = {"rows": labels, "columns": labels}
    return Section(
        "Attention: what attends to what",
        [
            Text(
                f"{several}; {width}.{grouped} Each compares a query of every position with a key of "
                f"every position. Shown closely: **{shown}**, {why}."
            ),
            Maps(
                [
                    Heatmap(
                        "1 · similarity q·k",
                        similarity.double().cpu().numpy(),
                        "query",
                        "key",
                        **grid,
                    ),
                    Heatmap(
                        f"2 · divided by {model.block(layer).attn.scale:g} and masked",
                        scores.where(scores.isfinite(), torch.nan).double().cpu().numpy(),
                        "query",
                        "key",
                        **grid,
                        note="Hatched: later positions, which a causal model may not see.",
                    ),
                    Heatmap(
                        "3 · softmax: the pattern",
                        pattern.double().cpu().numpy(),
                        "query",
                        "key",
                        **grid,
                        scale="sequential",
                        low=0,
                        high=1,
                        note="Every row adds up to 1.",
                    ),
                ]
            ),
            Attention(
                f"The patterns of all heads of layer {layer}",
                [labels],
                [cache[sites.pattern(layer)][0, order].float().numpy()],
                [(layer, each) for each in order],
            ),
            Table(
                "attention",
                _statistics(
                    {
                        "W_Q": model.block(layer).attn.W_Q.detach(),
                        "W_K": model.block(layer).attn.W_K.detach(),
                        "q, as compared": cache[(sites.rot_q if rotary else sites.q)(layer)],
                        "k, as compared": cache[(sites.rot_k if rotary else sites.k)(layer)],
                        "scores": cache[sites.scores(layer)],
                        "pattern": cache[sites.pattern(layer)],
                    }
                ),
            ),
        ],
    )


def _output(model, run, labels, shown: Head) -> Section:
    cache, layer = run.cache, shown.layer
    attn = model.block(layer).attn
    written = (cache[sites.z(layer)][0, :, shown.index] @ attn.W_O[shown.index]).detach()
    streams = torch.cat([cache.stack("resid_pre")[:1], cache.stack("resid_post")])[:, 0]
    depth = ["embedding", *(f"after layer {each}" for each in range(model.config.n_layers))]
    return Section(
        "What the heads write, and the residual stream",
        [
            Text(
                "A head's pattern mixes the values v of the positions it attends to into `z`, and its "
                "rows of `W_O` turn z into a vector of the stream. All heads' vectors and the bias "
                "are added to the stream, and so is what the MLP writes; nothing is ever overwritten."
            ),
            Maps(
                [
                    Heatmap(
                        "Length of the stream, log₁₀, layer by layer and position by position",
                        streams.float().norm(dim=-1).log10().numpy(),
                        "depth",
                        "pos",
                        rows=depth,
                        columns=labels,
                        scale="sequential",
                        note="The first position is often an attention sink with a stream a "
                        "hundred times as long as the others'.",
                    )
                ]
            ),
            Table(
                "writes",
                _statistics(
                    {
                        "v": cache[sites.v(layer)],
                        "z": cache[sites.z(layer)],
                        "W_O": attn.W_O.detach(),
                        f"what {shown} writes": written,
                        "attn_out": cache[sites.attn_out(layer)],
                        "stream before the layer": cache[sites.resid_pre(layer)],
                        "stream after the layer": cache[sites.resid_post(layer)],
                    }
                ),
            ),
        ],
    )


def _norms(model, run, labels, layer: int) -> Section:
    if model.config.norm == "none":
        return Section(
            "Normalization", [Text("This model has no norms: layers read the stream as it is.")]
        )
    cache = run.cache
    before, after = (
        cache[sites.resid_pre(layer)][0].float(),
        cache[sites.ln1_normalized(layer)][0].float(),
    )
    frame = pd.DataFrame(
        {
            "position": range(len(labels)),
            "token": labels,
            "mean before": before.mean(-1),
            "length before": before.norm(dim=-1),
            "divided by": cache[sites.ln1_scale(layer)][0, :, 0].float(),
            "mean after": after.mean(-1),
            "root mean square after": after.pow(2).mean(-1).sqrt(),
        }
    )
    does = {
        "layernorm": "LayerNorm subtracts the mean of a position's stream and divides by its standard "
        "deviation: the mean becomes 0 and the root mean square 1.",
        "rmsnorm": "RMSNorm divides a position's stream by its root mean square, which becomes 1; the "
        "mean is left in.",
    }[model.config.norm]
    return Section(
        "Normalization: layers see directions, not lengths",
        [
            Text(
                f"{does} The norm's own weight then stretches each dimension. Only the copy that the "
                "layer reads is normalized; the stream itself is not."
            ),
            Table(
                "norm",
                frame,
                title=f"The norm before the attention of layer {layer}",
                first_rows=len(frame),
            ),
        ],
    )


def _mlp(model, run, labels, layer: int) -> Section:
    config = model.config
    if not config.d_mlp:
        return Section("MLP", [Text("This model has attention only.")])
    post = run.cache[sites.mlp_post(layer)][0, -1].float()
    strongest = post.abs().topk(min(10, len(post))).indices
    frame = pd.DataFrame(
        {
            "neuron": strongest.tolist(),
            "activation": post[strongest],
            "length of what it writes": model.block(layer)
            .mlp.W_out[strongest]
            .detach()
            .float()
            .norm(dim=-1)
            * post[strongest].abs(),
        }
    )
    named = {
        "mlp_pre": run.cache[sites.mlp_pre(layer)],
        "mlp_post": run.cache[sites.mlp_post(layer)],
        "mlp_out": run.cache[sites.mlp_out(layer)],
    }
    gated = "multiplied by a second reading of the stream (a gated MLP), " if config.gated else ""
    return Section(
        "MLP: what each position thinks by itself",
        [
            Text(
                f"{config.d_mlp:,} neurons, {config.d_mlp / config.d_model:.2g} for each of the "
                f"{config.d_model} dimensions of the stream. Each reads one direction of the stream, "
                f"goes through {config.activation}, {gated}and writes one direction back. No neuron "
                "sees another position."
            ),
            Table(
                "neurons",
                frame,
                title=f"The most active neurons of layer {layer} at the last token, {labels[-1]!r}",
            ),
            Table("mlp", _statistics(named)),
        ],
    )


def _unembedding(model, run, labels) -> Section:
    probabilities = run.logits[0].float().softmax(-1)
    top = probabilities[-1].topk(min(10, probabilities.shape[-1]))
    likely = [model.to_single_str_token(token) for token in top.indices.tolist()]
    actual = probabilities[:-1].gather(-1, run.tokens[0, 1:, None].cpu())[:, 0]
    source = "`W_E` used backwards" if model.config.tied else "a matrix of its own, `W_U`"
    return Section(
        "Unembedding: from the stream to the next word",
        [
            Text(
                f"After a last norm the stream is compared with one direction per token ({source}); a "
                "softmax turns the logits into probabilities. Every position predicts its next token."
            ),
            Chart(
                "The most likely next tokens",
                "bar",
                [Series("probability", likely, top.values.tolist())],
                "token",
                "probability",
            ),
            TokenStrip(
                labels,
                [float("nan"), *actual.tolist()],
                scale="sequential",
                title="How probable each token was, given those before it",
            ),
            Table(
                "next_tokens",
                pd.DataFrame(
                    {"token": likely, "id": top.indices.tolist(), "probability": top.values}
                ),
            ),
        ],
    )


def _isolation(model, moved, labels, replacement: int) -> Section:
    swapped = model.to_single_str_token(replacement)
    grid = {"columns": labels, "unit": "relative change", "scale": "sequential"}
    return Section(
        "Only attention moves information between positions",
        [
            Text(
                f"Token {moved.position}, {labels[moved.position]!r}, is replaced by {swapped!r}. With "
                "attention free to react the change spreads to later positions. With every attn_out "
                f"held at its value before the change, the largest change at any other position is "
                f"**{moved.leak:.1g}**: norms, MLPs and the embedding stay within their position."
            ),
            Maps(
                [
                    Heatmap("Attention free", moved.free.float().numpy(), "layer", "pos", **grid),
                    Heatmap(
                        "Every attn_out frozen",
                        moved.frozen.float().numpy(),
                        "layer",
                        "pos",
                        **grid,
                    ),
                ]
            ),
        ],
    )


def _places(run) -> Section:
    layer = {site: tensor for site, tensor in run.cache.items() if site.layer in (None, 0)}
    frame = _statistics({site.name: tensor for site, tensor in layer.items()})
    return Section(
        "Every place that can be read and edited",
        [Table("sites", frame, first_rows=len(frame))],
        intro="The names are TransformerLens's; layers above 0 have the same places.",
    )
