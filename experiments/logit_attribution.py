"""Which heads and MLPs push the right answer's logit above the wrong one's, and from where?

Method  The residual stream before the final norm is the sum of what the embedding, every head, every
        MLP and the biases wrote. With the norm's scale frozen at its value, the logit difference at the
        last token reads that sum along one direction, and each part's dot product with it is its direct
        effect. A head's part splits further by the position that it attends to, and its attention score
        by the parts written before it. The strongest heads are chosen on the discovery half of the
        screen, ranked on its other half among random heads of the same layers, and confirmed on fresh
        prompts, beside the same heads read along two random tokens and along the answers of unrelated
        prompts. p inverts the interval, corrected for the number of components (Benjamini–Hochberg).
Units   Logits of answer minus wrong, mean of templates' means; scores as they enter the softmax.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; Wang et al. 2022,
        arXiv:2211.00593.
Limits  Direct effects only: a head that works through later layers shows nothing here, and a large
        direct effect can be undone or copied elsewhere. Holding the norm's scale leaves out that
        removing a part would rescale all others.
"""

import numpy as np
import pandas as pd

from interp import components, sites, stats
from interp.components import Head
from interp.effects import Effects, Test
from interp.methods import attention, attribute, neurons, readings
from interp.report import (
    Check,
    Flow,
    Heatmap,
    Maps,
    Section,
    Table,
    Text,
)
from interp.study import Heads, Report, study
from interp.tasks.batches import places, whole
from interp.views import effects, figures, tests, tolerance

KEYS = ["component", "layer", "head"]


@study(
    expects="The parts add up to the logit difference, and the heads that contribute most on the discovery "
    "templates contribute on held-out ones, more than random heads of their layers and than along other "
    "directions of equal norm.",
    task="ioi",
    also="induction",
    cost=12,
)
def logit_attribution(model, task, *, seed: int = 0, top: Heads = 10, scores: Heads = 3) -> Report:
    prompts = whole(task, model.device)
    layers = range(model.config.n_layers)
    attended = [site(layer) for layer in layers for site in (sites.pattern, sites.v)]
    run = prompts.run(model, keep={*attribute.wanted(model), *attended})
    found = attribute.attribute(model, run, prompts)
    table = _components(found, task, seed)
    heads = table[table.component == "head"].sort_values("contribution", key=abs, ascending=False)
    best = [Head(row["layer"], row["head"]) for _, row in heads.head(top).iterrows()]
    test = _tested(model, task, found, top, seed)

    wide = tolerance.rounding(model.dtype, found.scale, len(found.components))
    check = Check("the parts add up to the logit difference, worst prompt", found.error, wide)
    total = stats.mean(
        found.logit_difference.double().cpu().numpy(), task.clusters, task.items, seed=seed
    )
    return Report.of(
        test,
        f"On {task.n} {task.name} prompts {model.name} prefers the answer by {total.value:.2f} logits. "
        f"Largest direct effects: {_named(heads.head(3))}. {test.labels[0]}, chosen on the discovery half, "
        f"contributes {test.first.effect:+.2f} on {test.fresh.task.n} held-out prompts. "
        f"{tests.sentence(test, 'contribute')}",
        [
            _parts(found, table, test, model.config, task, seed),
            _sources(model, task, run, prompts, best, seed),
            _queries(model, task, prompts, best[:scores], seed),
            *_neurons(model, task, run, prompts, seed, top),
        ],
        headlines=[figures.headline("logit difference", total, "logits")],
        checks=[check],
        files={"components": table[[*KEYS, "contribution", "ci_low", "ci_high"]]},
    )


def _components(found, task, seed: int) -> pd.DataFrame:
    """One row a component, the biases of a layer taken together, with interval and p-value."""
    pooled = found.pooled()
    keys = [(each.kind, each.layer, each.index) for each in pooled]
    frame = pd.DataFrame(keys, columns=KEYS)
    measured = stats.table(np.stack(list(pooled.values())), task.clusters, task.items, seed=seed)
    return frame.join(measured.rename(columns={"effect": "contribution"})).astype(
        {"layer": "Int64", "head": "Int64"}
    )


def _tested(model, task, found, top: int, seed: int) -> Test:
    """The heads with the largest effects on the discovery half, on fresh prompts."""
    strongest = _heads(model.config, task, found).select(top)

    def read(run, given):
        return attribute.attribute(model, run, given).of("head")[strongest.rows]

    fresh = readings.on_fresh_prompts(
        model, task.confirmation, strongest.components, attribute.wanted(model), read, seed
    )
    return strongest.test(fresh.effects, fresh.controls, seed=seed)


def _heads(config, task, found) -> Effects:
    """The direct effect of every head."""
    values = found.of("head").double().cpu().numpy()
    return Effects(values, components.heads(config), task)


def _named(rows: pd.DataFrame) -> str:
    return ", ".join(
        f"{Head(row['layer'], row['head'])} {row['contribution']:+.2f}"
        for _, row in rows.iterrows()
    )


def _parts(found, table, test, config, task, seed: int) -> Section:
    """By head, by layer, and for each order of the sentence apart."""
    orders = sorted({prompt.order for prompt in task.kept} - {""})
    grids = [("all prompts", np.ones(task.n, dtype=bool))]
    grids += [(order, task.where(order=order)) for order in orders] if len(orders) > 1 else []
    shape = config.n_layers, config.n_heads, task.n
    samples = found.of("head").double().cpu().numpy().reshape(shape)
    maps = [
        Heatmap(
            f"Heads, {name}",
            samples[..., which].mean(-1),
            "layer",
            "head",
            unit="logits",
            note=f"n = {which.sum()}",
            samples=samples[..., which] if which.all() else None,
        )
        for name, which in grids
    ]
    depth = ["embed", *(f"L{layer}" for layer in range(config.n_layers)), "final"]
    place = [
        0 if kind in ("embed", "pos_embed") else len(depth) - 1 if pd.isna(layer) else layer + 1
        for kind, layer in zip(table.component, table.layer, strict=True)
    ]
    groups = {"heads": ("head",), "MLP": ("mlp",)}
    groups["embedding and biases"] = ("embed", "pos_embed", "bias")
    groups = {name: kinds for name, kinds in groups.items() if table.component.isin(kinds).any()}
    written = np.zeros((len(depth), len(groups)))
    for column, kinds in enumerate(groups.values()):
        member = table.component.isin(kinds)
        np.add.at(written[:, column], np.array(place)[member], table.contribution[member])
    parts = [
        (at, str(Head(row.layer, row.head)), row.contribution)
        for at, row in zip(place, table.itertuples(), strict=True)
        if row.component == "head"
    ]
    blocks = [
        Maps(maps),
        Flow(
            "How the answer builds up, mean over prompts",
            depth,
            list(groups),
            written,
            parts,
            unit="logits of answer minus wrong",
        ),
        Table(
            "largest",
            table.sort_values("contribution", key=abs, ascending=False).head(40),
            title="The largest parts",
            first_rows=15,
            note="p inverts the interval; p_corrected: for all components together. These are the largest on "
            "these very prompts, which flatters them; the confirmed ones below are estimated on others.",
        ),
        tests.confirmed(test),
        tests.per_prompt(test, "Direct effects of the chosen heads, prompt by prompt"),
    ]
    if len(orders) > 1:
        every = effects.by_variant(_heads(config, task, found), "by_order", seed=seed).frame
        every = every.sort_values("effect", key=abs, ascending=False).groupby("order").head(10)
        frame = every.rename(columns={"effect": "contribution"}).sort_values("order", kind="stable")
        blocks.append(Table("by_order", frame, title="The ten largest heads of each order"))
    return Section("Who writes the answer", blocks)


def _sources(model, task, run, prompts, best, seed: int) -> Section:
    """What each of the largest heads brings from each named position."""
    named = places(task)
    rows, grid = [], np.zeros((len(best), len(named) + 1))
    for number, head in enumerate(best):
        source = attribute.by_source(model, run, prompts, head).double().cpu().numpy()
        rest = source.sum(-1)
        parts = {name: source[np.arange(len(source)), at] for name, at in named.items()}
        taken = {tuple(at): parts[name] for name, at in named.items()}
        parts["elsewhere"] = rest - sum(taken.values())
        estimate = stats.mean(np.stack(list(parts.values())), task.clusters, seed=seed)
        grid[number] = estimate.value
        rows += [
            [head.layer, head.index, name, estimate.value[i], estimate.low[i], estimate.high[i]]
            for i, name in enumerate(parts)
        ]
    columns = ["layer", "head", "source", "contribution", "ci_low", "ci_high"]
    names = list(map(str, best))
    return Section(
        "Where they bring it from",
        [
            Maps(
                [
                    Heatmap(
                        "Direct effect by source",
                        grid,
                        "component",
                        "source",
                        rows=names,
                        columns=[*named, "elsewhere"],
                        unit="logits",
                    )
                ]
            ),
            Table("sources", pd.DataFrame(rows, columns=columns)),
        ],
        intro="A head's z is a sum over the positions that it attends to from the last token, so its "
        "direct effect is too.",
    )


def _queries(model, task, prompts, best, seed: int) -> Section:
    """Which earlier parts make the largest heads attend where they do."""
    named = {name: at for name, at in places(task).items() if name not in ("BOS", "END")}
    best = [head for head in best if head.layer > 0]
    if not named or not best:
        return Section("What makes them attend there", [Text("No named position to attend to.")])
    needed = {site for head in best for site in attention.needed(model, head.layer)}
    run = prompts.run(model, keep={*needed, *(sites.pattern(head.layer) for head in best)})
    rows, text = [], []
    for head in best:
        pattern = run.cache[sites.pattern(head.layer)][range(task.n), head.index, prompts.end]
        pattern = pattern.double().cpu().numpy()
        weight = {name: pattern[np.arange(task.n), at].mean() for name, at in named.items()}
        place = max(weight, key=weight.get)
        key = prompts.end.new_tensor(named[place])
        parts = attention.score_parts(model, run, head, prompts.end, key)
        text.append(
            f"- **{head}** attends from END most to {place} ({weight[place]:.2f}); its score "
            f"there is {float(parts.contrast.mean()):+.2f} above that of the other keys "
            f"(sums agree to {parts.error:.0e} of it)."
        )
        for side, scored in (("query", parts.query_side), ("key", parts.key_side)):
            values = scored.double().cpu().numpy()
            for row in np.argsort(-np.abs(values.mean(-1)))[:8]:
                estimate = stats.mean(values[row], task.clusters, seed=seed)
                rows.append(
                    [
                        head.layer,
                        head.index,
                        place,
                        side,
                        str(parts.components[row]),
                        float(estimate.value),
                        float(estimate.low),
                        float(estimate.high),
                    ]
                )
    columns = ["layer", "head", "looks_at", "side", "upstream", "score", "ci_low", "ci_high"]
    return Section(
        "What makes them attend there",
        [
            Text("\n".join(text)),
            Table("score_parts", pd.DataFrame(rows, columns=columns), first_rows=16),
        ],
        intro="The score of that position above the mean score of all others, decomposed over what was "
        "written before at END (query side) and at the positions attended to (key side); the eight "
        "largest parts of either.",
    )


def _neurons(model, task, run, prompts, seed: int, top: int) -> list[Section]:
    """The neurons with the largest direct effects."""
    if not model.config.d_mlp:
        return []
    effect = neurons.effects(model, run, prompts).effect.double().cpu().numpy()
    flat = effect.reshape(-1, task.n)
    chosen = np.argsort(-np.abs(flat.mean(-1)))[:top]
    estimate = stats.mean(flat[chosen], task.clusters, seed=seed)
    layer, neuron = np.unravel_index(chosen, effect.shape[:2])
    frame = pd.DataFrame(
        {
            "layer": layer,
            "neuron": neuron,
            "contribution": estimate.value,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
        }
    )
    note = (
        "Chosen among all neurons on the same prompts, so their size flatters them; the study "
        "mlp_neurons chooses on one half and measures on fresh prompts."
    )
    return [Section("The largest neurons", [Table("neurons", frame, note=note)])]
