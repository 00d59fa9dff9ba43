"""Where do the heads with the largest direct effects look on real prompts?

Method  The heads whose direct effect on the logit difference is largest, and as many heads drawn at
        random, run on the task's prompts; their attention from each named position to each earlier one
        is averaged over prompts, with an interval that resamples whole clusters of prompts.
Units   Attention in shares of 1. `even` is what a head that looks evenly at all it may see would have.
Source  Wang et al. 2022, arXiv:2211.00593 (attention between named positions).
Limits  Heads that act through other heads are not among those chosen. Attention to a position is not
        use of what is there.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from interp import sites, stats
from interp.lab import Heads, experiment, figures
from interp.methods import attribute
from interp.methods.asked import asked, places
from interp.methods.attention import between
from interp.report import Attention, Check, Heatmap, Maps, Report, Section, Table

SHOWN = 4


@experiment(
    expects="From the last token the largest heads look at named positions other than the first and the "
    "last more than heads drawn at random do.",
    task="ioi",
    also="induction",
)
def attention_patterns(model, task, *, seed: int = 0, top: Heads = 8) -> Report:
    prompts = asked(model, task)
    layers = range(model.config.n_layers)
    run = prompts.run(
        model, keep={*attribute.wanted(model), *(sites.pattern(layer) for layer in layers)}
    )
    effects = attribute.attribute(model, run, prompts).of("head").mean(-1)
    order = effects.abs().argsort(descending=True).tolist()
    chosen = order[: min(top, len(order) // 2)]
    generator = torch.Generator().manual_seed(seed)
    rest = order[len(chosen) :]
    drawn = [
        rest[i] for i in torch.randperm(len(rest), generator=generator)[: len(chosen)].tolist()
    ]
    named = places(task)
    visible = sum(run.cache[sites.pattern(layer)].sum(-1).amin() for layer in layers) / len(layers)

    heads = [divmod(index, model.config.n_heads) for index in chosen]
    controls = [divmod(index, model.config.n_heads) for index in drawn]
    pairs, found = between(_of(run, heads), named)
    _, other = between(_of(run, controls), named)
    even = _even(model, prompts, named, pairs)
    table = _table(pairs, found, heads, even, task.clusters, seed)
    inner = [
        row
        for row, (query, key) in enumerate(pairs)
        if query == "END" and key not in ("BOS", "END")
    ]
    largest, drawn_look = (_looks(each[inner], task.n) for each in (found, other))
    looks, by_chance, more = (
        stats.mean(each, task.clusters, seed=seed)
        for each in (largest, drawn_look, largest - drawn_look)
    )
    looks, by_chance = _bounded(looks), _bounded(by_chance)
    verdict = "inconclusive"
    if inner and more.low > 0:
        verdict = "supported"
    elif inner and more.high < 0:
        verdict = "not supported"
    strongest = _strongest(table)
    return Report(
        answer=f"From END the {len(heads)} heads of {model.name} with the largest direct effects give "
        f"named words {looks.value:.2f} of their attention, random heads {by_chance.value:.2f}; "
        f"{strongest}.",
        verdict=verdict,
        headlines=[
            figures.headline("attention on named words, largest heads", looks),
            figures.headline("the same, random heads", by_chance),
            figures.headline("difference", more),
        ],
        sections=[
            _grid(pairs, found, heads, effects, model.config),
            Section(
                "As numbers",
                [Table("between", table, title="Mean attention between named positions")],
            ),
            _patterns(model, task, run, heads),
        ],
        controls=[
            Table(
                "random_heads",
                _table(pairs, other, controls, even, task.clusters, seed),
                title="The same for heads drawn at random",
                first_rows=10,
            )
        ],
        checks=[
            Check(
                "attention over all keys adds up to 1, largest error", abs(1 - float(visible)), 1e-5
            )
        ],
    )


def _of(run, heads) -> torch.Tensor:
    """The patterns of these heads, `[batch head query key]`."""
    return torch.stack([run.cache[sites.pattern(layer)][:, head] for layer, head in heads], 1)


def _looks(found, n: int) -> np.ndarray:
    """For each prompt the mean over heads of the attention on all these keys together."""
    if not len(found):
        return np.zeros(n)
    return found.sum(0).mean(0).double().cpu().numpy()


def _even(model, prompts, named, pairs) -> list[float]:
    """An even look at all that a query may see."""
    mask = model.surroundings(prompts.real, model.embed.W_E).mask(0)[:, 0]
    share = mask.double() / mask.sum(-1, keepdim=True)
    share = share.expand(len(prompts.real), -1, -1)
    rows = np.arange(len(share))
    share = share.double().cpu().numpy()
    return [float(share[rows, named[query], named[key]].mean()) for query, key in pairs]


def _bounded(estimate: stats.Estimate) -> stats.Estimate:
    """The interval of a share of attention, which lies from 0 to 1."""
    low, high = (np.asarray(np.clip(end, 0, 1)) for end in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high)


def _table(pairs, found, heads, even, clusters, seed: int) -> pd.DataFrame:
    estimate = _bounded(stats.mean(found.double().cpu().numpy(), clusters, seed=seed))
    rows = [
        [
            layer,
            head,
            query,
            key,
            estimate.value[pair, number],
            estimate.low[pair, number],
            estimate.high[pair, number],
            even[pair],
            estimate.n,
        ]
        for pair, (query, key) in enumerate(pairs)
        for number, (layer, head) in enumerate(heads)
    ]
    columns = ["layer", "head", "query", "key", "attention", "ci_low", "ci_high", "even", "n"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["from_end"] = frame["query"] == "END"
    ranked = frame.sort_values(["from_end", "attention"], ascending=False, kind="stable")
    return ranked.drop(columns="from_end")


def _strongest(table: pd.DataFrame) -> str:
    rows = table[~table["key"].isin(["BOS", "END"]) & (table["query"] == "END")]
    if rows.empty:
        return "the task names no word to look at"
    best = rows.iloc[0]
    return f"L{best['layer']}H{best['head']} looks from END at {best['key']} with {best['attention']:.2f}"


def _grid(pairs, found, heads, effects, config) -> Section:
    """Heads × keys, seen from END."""
    rows = [row for row, (query, _) in enumerate(pairs) if query == "END"]
    grid = found[rows].mean(-1).T.double().cpu().numpy()
    names = [f"L{layer}H{head}" for layer, head in heads]
    keys = [pairs[row][1] for row in rows]
    direct = ", ".join(
        f"{name} {effects[layer * config.n_heads + head]:+.2f}"
        for name, (layer, head) in zip(names, heads, strict=True)
    )
    block = Heatmap(
        "Attention from END",
        grid,
        "component",
        "key",
        rows=names,
        columns=keys,
        scale="sequential",
        low=0,
        high=1,
        note=f"Direct effects, in logits: {direct}.",
    )
    return Section("What they look at from the last token", [Maps([block])])


def _patterns(model, task, run, heads) -> Section:
    tokens, patterns = [], []
    for example in (
        range(0, task.n, max(1, task.n // SHOWN))[:SHOWN] if task.n > SHOWN else range(task.n)
    ):
        real = int(run.real[example].sum())
        tokens.append(model.to_str_tokens(run.tokens[example, :real]))
        patterns.append(_of(run, heads)[example, :, :real, :real].float().cpu().numpy())
    return Section(
        "On real prompts", [Attention("Patterns of the largest heads", tokens, patterns, heads)]
    )
