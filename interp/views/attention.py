"""Attention between named positions and on whole prompts, as the tables and pictures of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from interp import sites, stats
from interp.components import Head
from interp.effects import Effects
from interp.methods import attention
from interp.report import Attention, Check, Maps
from interp.stats import Estimate
from interp.tasks import Task
from interp.transformer import Run, Transformer
from interp.views import pictures, tolerance

Places = Mapping[str, Sequence[int]]


def adds_up(model: Transformer, run: Run) -> Check:
    """That the attention of every query adds up to 1, in a run that kept all patterns."""
    kept = (run.cache[sites.pattern(layer)] for layer in range(model.config.n_layers))
    worst = max(float((pattern.sum(-1) - 1).abs().max()) for pattern in kept)
    wide = tolerance.rounding(model.dtype, n_terms=run.tokens.shape[1])
    return Check("attention over all keys adds up to 1, largest error", worst, wide)


def bounded(estimate: Estimate) -> Estimate:
    """The interval of a share of attention, which lies from 0 to 1."""
    low, high = (np.asarray(np.clip(end, 0, 1)) for end in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high)


def between(
    run: Run,
    heads: Sequence[Head],
    named: Places,
    even: Float[Tensor, "batch query key"],
    task: Task,
    seed: int = 0,
) -> pd.DataFrame:
    """layer, head, query, key, attention, ci_low, ci_high, even (of an even spread), n: from END first."""
    pairs, found = attention.between(attention.patterns(run, heads), named)
    spread = pictures.array(attention.between(even[:, None], named)[1].mean(-1)[:, 0])
    estimate = bounded(stats.mean(pictures.array(found), task.clusters, seed=seed))
    rows = [
        {**head.columns(), "query": query, "key": key} for query, key in pairs for head in heads
    ]
    frame = pd.DataFrame(rows).assign(
        attention=estimate.value.ravel(),
        ci_low=estimate.low.ravel(),
        ci_high=estimate.high.ravel(),
        even=spread.repeat(len(heads)),
        n=estimate.n,
    )
    frame = frame.sort_values("attention", ascending=False, kind="stable")
    from_end = frame["query"] == "END"
    return pd.concat([frame[from_end], frame[~from_end]])


def strongest(table: pd.DataFrame) -> str:
    """Which head attends most from END to a named word, in words."""
    rows = table[~table["key"].isin(["BOS", "END"]) & (table["query"] == "END")]
    if rows.empty:
        return "the task names no word to attend to"
    best = rows.iloc[0]
    head = Head(int(best["layer"]), int(best["head"]))
    return f"{head} attends from END to {best['key']} with {best['attention']:.2f}"


def from_end(run: Run, direct: Effects, named: Places) -> Maps:
    """These heads by the positions that they attend to from END, with their direct effects below."""
    heads = list(direct.components)
    pairs, found = attention.between(attention.patterns(run, heads), named)
    rows = [row for row, (query, _) in enumerate(pairs) if query == "END"]
    means = zip(heads, direct.mean(), strict=True)
    effects = ", ".join(f"{head} {mean:+.2f}" for head, mean in means)
    block = pictures.heatmap(
        "Attention from END",
        found[rows].mean(-1).T,
        ("component", "key"),
        rows=list(map(str, heads)),
        columns=[pairs[row][1] for row in rows],
        scale="sequential",
        low=0,
        high=1,
        note=f"Direct effects on the discovery half, in logits: {effects}.",
    )
    return Maps([block])


def on_prompts(model: Transformer, run: Run, heads: Sequence[Head], shown: int = 4) -> Attention:
    """The patterns of these heads on some of the prompts, evenly from the first on."""
    n = len(run.tokens)
    tokens, patterns = [], []
    for example in range(0, n, max(1, n // shown))[:shown]:
        real = int(run.real[example].sum())
        tokens.append(model.to_str_tokens(run.tokens[example, :real]))
        kept = attention.patterns(run, heads)[example, :, :real, :real]
        patterns.append(kept.float().cpu().numpy())
    chosen = [(head.layer, head.index) for head in heads]
    return Attention("Patterns of the largest heads", tokens, patterns, chosen)
