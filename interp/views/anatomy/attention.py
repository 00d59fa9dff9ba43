"""One head's attention step by step, beside the patterns of its layer."""

import torch

from interp.components import Head
from interp.report import Attention, Maps, Section, Text
from interp.sites import Site
from interp.transformer import Config, Run, Transformer
from interp.views.pictures import array, heatmap, statistics


def attention(model: Transformer, run: Run, shown: Head, why: str) -> Section:
    """From queries and keys to the pattern of this head; `why` says why it is this one."""
    config, layer, head = model.config, shown.layer, shown.index
    attn, labels = model.block(layer).attn, model.to_str_tokens(run.tokens)
    rotated = "rot_" if config.positions == "rotary" else ""
    kinds = (f"{rotated}q", f"{rotated}k", "scores", "pattern")
    q, k, scores, pattern = (run.cache[Site(kind, layer)] for kind in kinds)
    similarity = q[0, :, head] @ k[0, :, head // config.group].T
    masked = scores[0, head].where(scores[0, head].isfinite(), torch.nan)
    order = [head, *(each for each in range(config.n_heads) if each != head)]
    axes, names = ("query", "key"), {"rows": labels, "columns": labels}
    return Section(
        "Attention: what attends to what",
        [
            Text(
                f"{_side_by_side(config)} Each compares a query of every position with a key of "
                f"every position. Shown closely: **{shown}**, {why}."
            ),
            Maps(
                [
                    heatmap("1 · similarity q·k", similarity, axes, **names),
                    heatmap(
                        f"2 · divided by {attn.scale:g} and masked",
                        masked,
                        axes,
                        note="Hatched: later positions, which a causal model may not see.",
                        **names,
                    ),
                    heatmap(
                        "3 · softmax: the pattern",
                        pattern[0, head],
                        axes,
                        **names,
                        **{"scale": "sequential", "low": 0, "high": 1},
                        note="Every row adds up to 1.",
                    ),
                ]
            ),
            Attention(
                f"The patterns of all heads of layer {layer}",
                [labels],
                [array(pattern[0, order])],
                [(layer, each) for each in order],
            ),
            statistics(
                "attention",
                {
                    **{"W_Q": attn.W_Q, "W_K": attn.W_K, "q, as compared": q, "k, as compared": k},
                    **{"scores": scores, "pattern": pattern},
                },
            ),
        ],
    )


def _side_by_side(config: Config) -> str:
    """How the heads share the residual stream's width, and keys and values."""
    width = config.n_heads * config.d_head
    said = (
        f"here d_model = n_heads · d_head = {config.n_heads} · {config.d_head}, so they share the width"
        if width == config.d_model
        else f"here n_heads · d_head = {width} is not d_model {config.d_model}"
    )
    grouped = f" Groups of {config.group} query heads share one key and value head."
    return (
        f"{config.n_heads} heads work side by side, since one pattern can attend to one thing at a time; "
        f"{said}.{grouped if config.group > 1 else ''}"
    )
