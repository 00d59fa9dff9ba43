"""Where do the heads with the largest direct effects attend to on real prompts?

Method  The heads whose direct effect on the logit difference is largest are chosen on the discovery half of
        the screen; their attention from each named position to each earlier one is averaged over prompts.
        What they give from END to named words is ranked on the other half of the screen among random heads
        of the same layers, and confirmed on fresh prompts beside an even spread over all that may be seen.
Units   Attention in shares of 1, mean of templates' means. `even` is what a head that attends evenly to all
        it may see would have.
Source  Wang et al. 2022, arXiv:2211.00593 (attention between named positions).
Limits  Heads that act through other heads are not among those chosen. Attention to a position is not
        use of what is there.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from interp import components, sites, stats
from interp.components import Head
from interp.effects import Effects, Test
from interp.errors import NotApplicable
from interp.methods import attribute
from interp.methods.attention import between
from interp.report import Attention, Check, Heatmap, Maps, Section, Table
from interp.study import Heads, Report, study
from interp.tasks.batches import places, whole
from interp.views import figures, tests, tolerance

SHOWN = 4
EVEN = "an even spread"
ATTENTION = "of attention"


@study(
    expects="From the last token the heads with the largest direct effects attend to named positions other "
    "than the first and the last, on held-out templates, more than random heads of their layers do and more "
    "than an even spread would.",
    task="ioi",
    also="induction",
    cost=6,
)
def attention_patterns(model, task, *, seed: int = 0, top: Heads = 8) -> Report:
    named = places(task)
    inner = [name for name in named if name not in ("BOS", "END")]
    if not inner:
        raise NotApplicable(
            f"the prompts of {task.name} name no position but the first and the last, so there is nothing to "
            "attend to; a file names positions in columns pos_NAME"
        )
    prompts = whole(task, model.device)
    layers = range(model.config.n_layers)
    run = prompts.run(
        model, keep={*attribute.wanted(model), *(sites.pattern(layer) for layer in layers)}
    )
    visible = sum(run.cache[sites.pattern(layer)].sum(-1).amin() for layer in layers) / len(layers)
    direct = attribute.attribute(model, run, prompts).of("head").double().cpu().numpy()
    every = components.heads(model)
    chosen = Effects(direct, every, task).select(min(top, max(1, len(every) // 2)))
    heads = chosen.components
    test = _tested(model, run, chosen, inner, seed)

    pairs, found = between(_of(run, heads), named)
    even = _even(model, prompts, named, pairs)
    table = _table(pairs, found, heads, even, task, seed)
    random = [every[row] for row in chosen.matched(seed)]
    looks = _bounded(test.confirmation.chosen)
    spread = _bounded(test.confirmation.controls[EVEN])
    beside = []
    if random:
        found_there = between(_of(run, random), named)[1]
        beside.append(
            Table(
                "random_heads",
                _table(pairs, found_there, random, even, task, seed),
                title="The same for random heads of the same layers",
                first_rows=10,
            )
        )
    report = Report.of(
        test,
        f"From END the {len(heads)} heads of {model.name} with the largest direct effects give named "
        f"words {looks.value:.2f} of their attention on {test.fresh.task.n} held-out prompts, where an even "
        f"spread would give {spread.value:.2f}; {_strongest(table)} on the screen. {_ranked(test)}",
        [
            _grid(pairs, found, heads, direct[:, chosen.discovery], model.config),
            Section(
                "As numbers",
                [
                    Table("between", table, title="Mean attention between named positions"),
                    tests.confirmed(test),
                ],
            ),
            _patterns(model, task, run, heads),
        ],
        checks=[
            Check(
                "attention over all keys adds up to 1, largest error",
                abs(1 - float(visible)),
                tolerance.rounding(model.dtype, n_terms=run.tokens.shape[1]),
            )
        ],
    )
    headlines = [
        figures.headline("attention on named words, chosen heads", looks),
        figures.headline("an even spread", spread),
        *tests.headlines(test)[2:],
    ]
    return replace(report, headlines=headlines, controls=[*report.controls, *beside])


def _of(run, heads) -> torch.Tensor:
    """The patterns of these heads, `[batch head query key]`."""
    return torch.stack([run.cache[sites.pattern(each.layer)][:, each.index] for each in heads], 1)


def _tested(model, run, chosen, inner, seed: int) -> Test:
    """The attention that the chosen heads give to named words, on fresh prompts."""
    task, heads = chosen.screen.task, chosen.components
    fresh = task.confirmation
    prompts = whole(fresh, model.device)
    again = prompts.run(model, keep={sites.pattern(head.layer) for head in heads})
    every = chosen.screen.components
    on_screen = Effects(_given(run, every, places(task), inner), every, task, ATTENTION)
    given = Effects(_given(again, heads, places(fresh), inner), heads, fresh, ATTENTION)
    spread = _spread(model, prompts, places(fresh), inner)
    even = replace(given, values=np.broadcast_to(spread, given.values.shape))
    # Attention has one direction.
    ones = replace(on_screen, values=np.ones_like(on_screen.values))
    upwards = replace(chosen, screen=on_screen).upwards()
    return upwards.test(given, {EVEN: even}, directed=ones, seed=seed)


def _given(run, heads, named, inner) -> np.ndarray:
    """For each head and prompt its attention from END to all these names together."""
    rows = np.arange(len(run.tokens))
    places_ = np.array([named[name] for name in inner])
    end = np.array(named["END"])
    total = []
    for head in heads:
        pattern = run.cache[sites.pattern(head.layer)][:, head.index].double().cpu().numpy()
        total.append(
            sum(pattern[rows, end, at] * _first(places_, n) for n, at in enumerate(places_))
        )
    return np.stack(total)


def _first(named: np.ndarray, row: int) -> np.ndarray:
    """1 where no earlier name is at the same position, so that none counts twice."""
    return ~(named[:row] == named[row]).any(0) if row else np.ones(named.shape[1], dtype=bool)


def _spread(model, prompts, named, inner) -> np.ndarray:
    """What an even spread from END would give to all these names together, for every prompt."""
    mask = model.surroundings(prompts.real, model.embed.W_E).mask(0)[:, 0]
    share = (mask.double() / mask.sum(-1, keepdim=True)).expand(len(prompts.real), -1, -1)
    share = share.cpu().numpy()
    rows, places_ = np.arange(len(share)), np.array([named[name] for name in inner])
    end = np.array(named["END"])
    return sum(share[rows, end, at] * _first(places_, n) for n, at in enumerate(places_))


def _ranked(test) -> str:
    if not test.ranking.ran:
        return ""
    return f"Among random heads of the same layers they rank p = {test.ranking.p:.2g}."


def _even(model, prompts, named, pairs) -> list[float]:
    """An even spread of attention over all that a query may attend to."""
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


def _table(pairs, found, heads, even, task, seed: int) -> pd.DataFrame:
    estimate = _bounded(stats.mean(found.double().cpu().numpy(), task.clusters, seed=seed))
    rows = [
        [
            head.layer,
            head.index,
            query,
            key,
            estimate.value[pair, number],
            estimate.low[pair, number],
            estimate.high[pair, number],
            even[pair],
            estimate.n,
        ]
        for pair, (query, key) in enumerate(pairs)
        for number, head in enumerate(heads)
    ]
    columns = ["layer", "head", "query", "key", "attention", "ci_low", "ci_high", "even", "n"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["from_end"] = frame["query"] == "END"
    ranked = frame.sort_values(["from_end", "attention"], ascending=False, kind="stable")
    return ranked.drop(columns="from_end")


def _strongest(table: pd.DataFrame) -> str:
    rows = table[~table["key"].isin(["BOS", "END"]) & (table["query"] == "END")]
    if rows.empty:
        return "the task names no word to attend to"
    best = rows.iloc[0]
    head = Head(best["layer"], best["head"])
    return f"{head} attends from END to {best['key']} with {best['attention']:.2f}"


def _grid(pairs, found, heads, effects, config) -> Section:
    """Heads × keys, seen from END."""
    rows = [row for row, (query, _) in enumerate(pairs) if query == "END"]
    grid = found[rows].mean(-1).T.double().cpu().numpy()
    names = list(map(str, heads))
    keys = [pairs[row][1] for row in rows]
    direct = ", ".join(
        f"{head} {effects[head.layer * config.n_heads + head.index].mean():+.2f}" for head in heads
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
        note=f"Direct effects on the discovery half, in logits: {direct}.",
    )
    return Section("What they attend to from the last token", [Maps([block])])


def _patterns(model, task, run, heads) -> Section:
    tokens, patterns = [], []
    for example in (
        range(0, task.n, max(1, task.n // SHOWN))[:SHOWN] if task.n > SHOWN else range(task.n)
    ):
        real = int(run.real[example].sum())
        tokens.append(model.to_str_tokens(run.tokens[example, :real]))
        patterns.append(_of(run, heads)[example, :, :real, :real].float().cpu().numpy())
    shown = [(head.layer, head.index) for head in heads]
    return Section(
        "On real prompts", [Attention("Patterns of the largest heads", tokens, patterns, shown)]
    )
