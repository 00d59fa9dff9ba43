"""Which heads copy, which look for their own token, and which heads feed which, by their weights alone?

Method  A head's OV circuit says what reading a token does to the logits, its QK circuit which tokens it
        looks for. The copying score is Σλ/Σ|λ| over the eigenvalues of tokens → OV → logits, computed
        on a d_head × d_head product; copying accuracy is the share of sampled tokens that raise
        themselves above all others of the sample. A head is called a copying head only if its score lies
        beyond every control and its accuracy above one half. Both are taken for tokens as embedded and
        after the first MLP. The matching score is the same sum for tokens → QK → tokens at a distance Δ
        (rotary models: W_Q R(Δ) W_Kᵀ). Composition is ‖W_OV · W‖ / (‖W_OV‖ ‖W‖) for an earlier head's OV
        and a later head's W_QK (Q), W_QKᵀ (K) or W_OV (V). As controls tokens are paired with other
        tokens, and the stream between two heads is turned at random.
Units   Scores from −1 to 1; shares of tokens; composition from 0 to 1.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
Limits  Norms' weights are included, their scales and all biases are not. Weights say what a head could
        do with what it may never be given.
"""

from typing import Annotated

import numpy as np
import pandas as pd
import torch

from interp import sites, stats
from interp.components import Head
from interp.errors import NotApplicable
from interp.methods import circuits, composition
from interp.report import (
    Check,
    Edge,
    Graph,
    Headline,
    Heatmap,
    Maps,
    Node,
    NotRun,
    Report,
    Section,
    Table,
    Text,
)
from interp.study import Range, Tokens, progress, study
from interp.tasks import prompt_tokens
from interp.views import rules, tolerance

OFFSETS = [0, 1]
# The share of sampled tokens that a copying head raises above all others, and the share of pairs that
# compose beyond every turned one.
HALF, COMPOSED = 0.5, 0.02
PROMPT = "When Mary and John went to the store, John gave a drink to"
STARTS = {"embedding": "W_E", "first_mlp": "after the first MLP"}


@study(
    expects="Some heads copy: their score lies above that of every head whose tokens are paired "
    "at random, and "
    "most tokens that they read raise themselves above all others; and more pairs of heads "
    "compose than would "
    "if the residual stream were turned between them.",
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
    not_run = []
    heads, control = _copying(model, seed, sample)
    try:
        heads = heads.assign(**_matching(model, offsets))
    except NotApplicable as reason:
        not_run.append(NotRun("QK circuits, Q- and K-composition", str(reason)))
    composed = {}
    for kind in progress("QKV", "composition"):
        try:
            composed[kind] = composition.compositions(model, kind, offset=offsets[0], seed=seed)
        except NotApplicable:
            continue
    pairs = _pairs(composed)
    scores = heads.copying_embedding.to_numpy()
    standing = stats.against_controls(scores, control)
    beyond = int(((standing.share >= 1) & (scores > 0)).sum())
    copies = (standing.share >= 1) & (scores > 0) & (heads.accuracy_embedding.to_numpy() > HALF)
    over = {kind: _over(found) for kind, found in composed.items()}
    holds = copies.any() and max(over.values(), default=0) > COMPOSED
    best = heads.sort_values("copying_embedding", ascending=False).iloc[0]
    strongest = next(pairs.itertuples(), None)
    return Report(
        answer=f"{int(copies.sum())} of {len(heads)} heads of {model.name} copy: their score "
        "lies beyond every "
        "control, and more than half of the sampled tokens raise themselves above all others. "
        f"{beyond - int(copies.sum())} more have such a score without that: they raise what they "
        "read, and other "
        f"tokens more. The largest score is that of {Head(int(best['layer']), int(best['head']))} "
        f"({best.copying_embedding:+.2f}, accuracy {best.accuracy_embedding:.0%})"
        + (
            f"; the strongest composition is {strongest.kind}: {' → '.join(map(str, _heads(strongest)))} "
            f"({strongest.score:.2f})."
            if strongest is not None
            else "."
        ),
        verdict="supported" if holds else "not supported",
        inputs=[Text(model.bos.sentence)],
        headlines=[
            Headline(
                "heads that copy",
                str(int(copies.sum())),
                note=f"of {len(heads)}, score and accuracy",
            ),
            Headline("score beyond every control", str(beyond), note=f"of {len(heads)}"),
            Headline("largest copying score", best.copying_embedding, note="tokens as embedded"),
            *(
                Headline(
                    f"{kind}-composition beyond control", f"{share:.0%}", note="of pairs of heads"
                )
                for kind, share in over.items()
            ),
        ],
        sections=[
            _maps(heads, model.config, offsets),
            *_composition(composed, pairs, model.config),
        ],
        controls=[
            rules.rule(
                "tokens paired at random (one pairing of the whole vocabulary, the scores of all "
                "heads), and the "
                "residual stream turned at random between two heads. Supported: at least one head copies in "
                f"both senses, and more than {COMPOSED:.0%} of some kind of pairs compose beyond "
                "every turned one.",
                f"the heads of {model.name}; weights are not sampled, the "
                f"{min(sample, model.config.d_vocab)} tokens "
                "of the accuracy are.",
                f"an accuracy from {min(sample, model.config.d_vocab)} tokens is known to ± "
                f"{0.98 / min(sample, model.config.d_vocab) ** 0.5:.1%} at one half, 95 times in 100.",
            ),
            Text(
                f"With every token paired with another one, copying scores lie between {control.min():+.2f} "
                f"and {control.max():+.2f}. Copying accuracy by chance is one in "
                f"{min(sample, model.config.d_vocab)}."
            ),
            *(
                [
                    Table(
                        "composition_control",
                        _control(composed),
                        title="Composition with the stream turned at random",
                    )
                ]
                if composed
                else []
            ),
        ],
        checks=[
            Check(
                "OV circuits against what the last layer's heads write",
                _written(model),
                tolerance.step(model),
            )
        ],
        not_run=not_run,
        files={"circuits": heads, "composition": pairs},
    )


def _copying(model, seed: int, sample: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Copying by eigenvalues and by accuracy, and the scores of all heads for shuffled tokens."""
    config = model.config
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(config.d_vocab, generator=generator)
    frame = pd.DataFrame(
        {
            "layer": np.repeat(np.arange(config.n_layers), config.n_heads),
            "head": np.tile(np.arange(config.n_heads), config.n_layers),
        }
    )
    values = [circuits.output_value(model, layer) for layer in range(config.n_layers)]
    control = np.zeros(0)
    for name, start in STARTS.items():
        try:
            tokens = circuits.vocabulary(model, start)
        except NotApplicable:
            if name == "embedding":
                raise
            continue
        middle = circuits.copying_middle(tokens)
        frame[f"copying_{name}"] = _each(values, circuits.eigenvalue_score, middle)
        frame[f"accuracy_{name}"] = _each(values, circuits.copying_accuracy, tokens, order[:sample])
        if not len(control):
            shuffled = circuits.copying_middle(tokens, order)
            control = _each(values, circuits.eigenvalue_score, shuffled)
    return frame, control


def _each(values, score, *given) -> np.ndarray:
    return torch.cat([score(circuit, *given) for circuit in values]).double().cpu().numpy()


def _matching(model, offsets) -> dict[str, np.ndarray]:
    """How much tokens look for themselves, at every distance; one distance where there is no rotation."""
    offsets = offsets if model.config.positions == "rotary" else offsets[:1]
    layers = range(model.config.n_layers)
    first = [circuits.query_key(model, layer, offsets[0]) for layer in layers]
    middle = circuits.matching_middle(circuits.vocabulary(model, "W_E"))
    found = {f"matching_{offsets[0]}": _each(first, circuits.eigenvalue_score, middle)}
    for offset in offsets[1:]:
        values = [circuits.query_key(model, layer, offset) for layer in layers]
        found[f"matching_{offset}"] = _each(values, circuits.eigenvalue_score, middle)
    return found


def _over(found) -> float:
    """The share of pairs above everything that a random rotation gives."""
    known = found.scores[found.scores.isfinite()]
    return float((known > found.baseline.max()).double().mean()) if len(known) else 0.0


def _pairs(composed, most: int = 200) -> pd.DataFrame:
    rows = []
    for kind, found in composed.items():
        scores = found.scores.double().cpu().numpy()
        for place in np.argsort(-np.nan_to_num(scores, nan=-1), axis=None)[:most]:
            index = np.unravel_index(place, scores.shape)
            if np.isfinite(scores[index]):
                rows.append([kind, *map(int, index), float(scores[index])])
    columns = ["kind", "from_layer", "from_head", "layer", "head", "score"]
    return pd.DataFrame(rows, columns=columns).sort_values("score", ascending=False, kind="stable")


def _control(composed) -> pd.DataFrame:
    rows = []
    for kind, found in composed.items():
        known = found.scores[found.scores.isfinite()].double().cpu().numpy()
        base = found.baseline.double().cpu().numpy()
        rows.append(
            [
                kind,
                len(known),
                known.mean() if len(known) else np.nan,
                len(base),
                base.mean(),
                base.max(),
                _over(found),
            ]
        )
    columns = [
        "kind",
        "pairs",
        "mean",
        "control_pairs",
        "control_mean",
        "control_largest",
        "share_beyond",
    ]
    return pd.DataFrame(rows, columns=columns)


def _written(model) -> float:
    """The last layer's OV circuits against what its heads write on a prompt, relative."""
    layer = model.config.n_layers - 1
    kept = [sites.ln1_normalized(layer)] if model.config.norm != "none" else []
    kept += [sites.resid_pre(layer), sites.pattern(layer), sites.head_out(layer)]
    run = model.run(prompt_tokens(model, PROMPT), keep=kept, logits_at=-1)
    expected = run.cache[sites.head_out(layer)]
    return float((circuits.writes(model, run, layer) - expected).norm() / expected.norm())


def _maps(heads, config, offsets) -> Section:
    titles = {
        "copying_embedding": "Copying, tokens as embedded",
        "copying_first_mlp": "Copying, after the first MLP",
        "accuracy_embedding": "Copying accuracy, as embedded",
        "accuracy_first_mlp": "Copying accuracy, after the first MLP",
        **{f"matching_{offset}": f"Tokens look for themselves, Δ = {offset}" for offset in offsets},
    }
    shape = config.n_layers, config.n_heads
    blocks = []
    for name, title in titles.items():
        if name in heads:
            ends = (
                {"low": 0, "high": 1, "scale": "sequential"}
                if "accuracy" in name
                else {"low": -1, "high": 1}
            )
            grid = heads[name].to_numpy().reshape(shape)
            blocks.append(Heatmap(title, grid, "layer", "head", **ends))
    ranked = heads.sort_values("copying_embedding", ascending=False, kind="stable")
    rotary = (
        f"Queries and keys are rotated, so a QK circuit belongs to a distance, here Δ = "
        f"{', '.join(map(str, offsets))}; composition is at Δ = {offsets[0]}."
        if config.positions == "rotary"
        else "Positions do not enter the QK circuit's weights, so there is no Δ."
    )
    return Section(
        "Every head's circuits",
        [
            Text(rotary),
            Maps(blocks),
            Table("copying", ranked.head(30), title="The heads that copy most", first_rows=12),
        ],
    )


def _composition(composed, pairs, config) -> list[Section]:
    """Layers × layers and the strongest pairs."""
    if not composed or config.n_layers < 2:
        return []
    maps = []
    for kind, found in composed.items():
        best = found.scores.nan_to_num(nan=-1).amax((1, 3)).double().cpu().numpy()
        best = np.where(best < 0, np.nan, best)
        maps.append(
            Heatmap(
                f"{kind}-composition",
                best[:-1, 1:],
                "from layer",
                "to layer",
                scale="sequential",
                rows=[str(each) for each in range(config.n_layers - 1)],
                columns=[str(each) for each in range(1, config.n_layers)],
            )
        )
    return [
        Section(
            "Which head feeds which",
            [
                Maps(maps, note="The strongest pair of heads of each two layers."),
                *_graph(pairs),
                Table(
                    "pairs",
                    pairs.groupby("kind", sort=False).head(20),
                    title="The strongest pairs",
                ),
            ],
            intro="A random rotation of the stream between two heads leaves 1/√d_model "
            f"= {config.d_model**-0.5:.3f} on average (root mean square).",
        )
    ]


def _heads(pair) -> tuple[Head, Head]:
    """The head that feeds and the head that reads."""
    return Head(pair.from_layer, pair.from_head), Head(pair.layer, pair.head)


def _graph(pairs, most: int = 40) -> list[Graph]:
    """The strongest pairs as a graph, which shows the heads that many others feed or read."""
    rows = list(pairs.head(most).itertuples())
    edges = [Edge(*map(str, _heads(row)), row.score, row.kind) for row in rows]
    heads = dict.fromkeys(head for row in rows for head in _heads(row))
    nodes = [Node(str(head), head.layer) for head in sorted(heads, key=lambda head: head.layer)]
    title = f"The {len(edges)} strongest compositions of all kinds"
    return [Graph(title, nodes, edges, note="Layers upwards; wide is strong.")] if edges else []
