"""Where in the model, and when, is the information that decides the answer?

Method  Denoising: run the corrupted prompt, restore one activation to its value on the clean prompt, and
        measure the logit difference at END. First the residual stream, attn_out and mlp_out by layer and
        position, then every head's z at all positions, then z, q, k, v and pattern of the strongest heads.
        Noising puts the corrupted value into the clean run. Templates do not align, so positions are named
        ones, with position 0 apart, or those of one template. The strongest heads are chosen on the
        discovery half of the screen, ranked on its other half among random heads of the same layers, and
        confirmed on fresh prompts beside changes of equal norm in other directions.
Units   Logits of answer minus wrong, patched minus corrupted, mean of templates' means. recovery is a
        ratio of means, mean(patched − corrupted) / mean(clean − corrupted). p inverts the interval,
        corrected (Benjamini–Hochberg) over the patches of one site.
Source  Meng et al. 2022, arXiv:2202.05262; Wang et al. 2022, arXiv:2211.00593; Heimersheim & Nanda
        2024, arXiv:2404.15255.
Limits  A patch shows what is enough (denoising) or needed (noising) in these pairs of prompts: what both
        prompts share cannot show. k and v are those of a group of heads where heads share them.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from interp import components, sites, stats
from interp.components import Slice
from interp.effects import Effects
from interp.methods import controls
from interp.methods.patch import (
    At,
    patch,
    worst_error,
)
from interp.methods.patch_tables import (
    OF_A_HEAD,
    cell_table,
    cells,
    inside,
    recoveries,
    template_table,
)
from interp.report import Chart, Check, Headline, Heatmap, Maps, Section, Series, Table
from interp.study import Count, Heads, Report, study
from interp.tasks.batches import aligned, labels
from interp.views import effects, figures, tests, tolerance

STREAM = ("resid_pre", "resid_mid", "attn_out", "mlp_out")
# resid_mid lies between resid_pre of two layers; every position of it is asked for at named ones only.
ONE_TEMPLATE = ("resid_pre", "attn_out", "mlp_out")


@study(
    expects="The heads that recover most on the discovery templates recover on held-out ones, more than "
    "random heads of their layers and than changes of equal norm in other directions.",
    task="ioi",
    cost=240,
    sweeps=True,
)
def activation_patching(
    model,
    task,
    *,
    top: Heads = 10,
    draws: Count = 1,
    noising: Literal["resid_pre", "all"] = "resid_pre",
    seed: int = 0,
) -> Report:
    config = model.config
    kinds = [kind for kind in STREAM if sites.Site(kind, 0) in model.sites]
    places = labels(task)
    every_head = components.heads(model)
    halfway = Slice(sites.resid_pre(config.n_layers // 2))
    done = patch(model, task, [*every_cell(kinds, config, places), *every_head, halfway])
    stream, heads = apart(done, kinds, config, places, len(every_head))
    more = noising == "all"
    asked = every_cell(kinds if more else kinds[:1], config, places)
    noised = patch(model, task, [*asked, *(every_head if more else [])], "noise")
    noised_stream, noised_heads = apart(
        noised, kinds if more else kinds[:1], config, places, len(every_head) if more else 0
    )

    by_head = Effects(heads.effects, every_head, task)
    strongest = by_head.select(top)
    fresh = controls.on_fresh_prompts(
        model, task.confirmation, strongest.components, "denoise", draws=draws, seed=seed
    )
    test = strongest.test(fresh.effects, fresh.controls, seed=seed)

    gap = stats.mean(heads.gap, task.clusters, task.items, seed=seed)
    held_out = task.only(strongest.held_out)
    held_gap = stats.mean(heads.gap[strongest.held_out], held_out.clusters, seed=seed)
    top_table = strongest.frame(seed)
    top_table["recovery"] = top_table["effect"] / float(held_gap.value)
    fresh_gap = stats.mean(fresh.gap, test.fresh.task.clusters, seed=seed)
    recovered = test.first.effect / float(fresh_gap.value)
    at_end = recoveries(stream["resid_pre"]).reshape(config.n_layers, -1)[:, -1]
    over_half = np.flatnonzero(at_end >= 0.5)
    arrives = f"from layer {over_half[0]} on" if len(over_half) else "only after the last layer"
    return Report.of(
        test,
        f"In {model.name} the residual stream at END holds more than half of what {task.name} needs "
        f"{arrives}. The strongest of {len(every_head)} heads, {test.labels[0]}, alone recovers "
        f"{recovered:.0%} of the gap between clean and corrupted prompts on {test.fresh.task.n} held-out "
        f"ones. {tests.sentence(test, 'restore')}",
        [
            named_section(stream, noised_stream, places, config.n_layers, task, seed),
            template_section(model, task, [kind for kind in ONE_TEMPLATE if kind in kinds]),
            head_section(by_head, heads, noised_heads, strongest, top_table, test, seed),
            detail_section(model, held_out, strongest.components, places),
            order_section(stream, by_head, places, task, config.n_layers, seed),
        ],
        headlines=[
            figures.headline("clean − corrupted", gap, "logits"),
            Headline("END carries half", arrives, note="recovery at resid_pre"),
        ],
        checks=checks(model, task, heads, stream["resid_pre"], done.only(slice(-1, None)), seed),
        files={kind: cell_table(each, task) for kind, each in stream.items()},
    )


def every_cell(kinds, config, places) -> list[At]:
    return [cell for kind in kinds for cell in cells(kind, config.n_layers, places)]


def apart(done, kinds, config, places, n_heads: int):
    """The cells of each kind, and the heads, of what one sweep did."""
    size = config.n_layers * len(places)
    stream = {
        kind: done.only(slice(row * size, (row + 1) * size)) for row, kind in enumerate(kinds)
    }
    return stream, done.only(slice(len(kinds) * size, len(kinds) * size + n_heads))


def named_section(stream, noised, places, n_layers: int, task, seed: int) -> Section:
    """Layer by named position over all templates, with intervals, and noising beside denoising."""
    frames, maps = [], []
    for kind, done in stream.items():
        table = cell_table(done, task)[["layer", "label"]].assign(site=kind)
        frame = Effects(done.effects, done.patches, task, named=table).frame(seed)
        ratio = stats.ratio_of_means(done.effects, done.gap, task.clusters, seed=seed)
        frames.append(
            frame.assign(recovery=ratio.value, recovery_low=ratio.low, recovery_high=ratio.high)
        )
        maps.append(position_map(kind, recoveries(done).reshape(n_layers, -1), places))
    removed = [
        position_map(f"{kind}, noising", recoveries(done).reshape(n_layers, -1), places)
        for kind, done in noised.items()
    ]
    ranks = {
        kind: stats.rank_correlation(recoveries(stream[kind]), recoveries(done))
        for kind, done in noised.items()
    }
    agree = ", ".join(
        f"{float(rank.value):.2f} [{float(rank.low):.2f}, {float(rank.high):.2f}] at {kind}"
        for kind, rank in ranks.items()
    )
    return Section(
        "Layer by named position, all templates",
        [
            Maps(
                maps, note="recovery: 1 means that this one activation brings all of the gap back."
            ),
            Maps(
                removed,
                note="Share of the gap that one corrupted activation removes from the clean run. Rank "
                f"correlation with denoising: {agree}.",
            ),
            Table(
                "positions",
                pd.concat(frames, ignore_index=True),
                title="Every cell",
                note=effects.p_note(task, len(frames[0])),
            ),
            *(
                Table(
                    f"{kind}_noising",
                    cell_table(done, task).rename(columns={"recovery": "removed"}),
                )
                for kind, done in noised.items()
            ),
        ],
        intro="Position 0 stands apart as `first`: in many models it is an attention sink.",
    )


def position_map(title: str, values: np.ndarray, columns) -> Heatmap:
    return Heatmap(title, values, "layer", "position", columns=list(columns))


def template_section(model, task, kinds) -> Section:
    """Every position of one template, its first prompt's tokens as column heads."""
    batch = aligned(task, model.device)[0]
    prompt, layers = batch.prompts[0], model.config.n_layers
    tokens, table = template_table(model, batch, kinds)
    maps = [
        position_map(kind, frame["recovery"].to_numpy().reshape(layers, -1), tokens)
        for kind, frame in table.groupby("site", sort=False)
    ]
    return Section(
        "Layer by position, one template",
        [
            Maps(maps, note="recovery; the tokens are those of the template's first prompt."),
            Table("positions_by_template", table),
        ],
        intro=f"Template {prompt.template}, {len(batch.prompts)} prompts, such as “{prompt.clean}”.",
    )


def head_section(by_head, heads, noised, strongest, top_table, test, seed: int) -> Section:
    n_layers = by_head.names["layer"].nunique()
    every = effects.every(by_head, "heads", "Every head, z at all positions", seed=seed)
    maps = [effects.head_map("recovery by z", recoveries(heads), n_layers)]
    tables = [replace(every, frame=every.frame.assign(recovery=recoveries(heads)))]
    if len(noised.patches):
        removed = recoveries(noised)
        maps.append(effects.head_map("removed by z, noising", removed, n_layers))
        frame = replace(by_head, values=noised.effects).frame(seed).assign(removed=removed)
        tables.append(Table("heads_noising", frame, title="Every head, noising"))
    return Section(
        "Every head",
        [
            Maps(maps),
            tests.confirmed(test),
            tests.per_prompt(test, "Restored z, prompt by prompt"),
            Table(
                "top_heads", top_table, title="The same heads on the held-out half of the screen"
            ),
            effects.halves({"z": by_head}, strongest),
            *tables,
        ],
        intro="z of one head restored at all positions.",
    )


def detail_section(model, task, best, places) -> Section:
    """What of the strongest heads carries it, and at which position, on the prompts of this task."""
    patches = inside(model, best)
    number = len(patches)
    patches += [At(head, place) for head in best for place in places]
    recovery = recoveries(patch(model, task, patches))
    by_site = recovery[:number].reshape(len(best), -1)
    by_place = recovery[number:].reshape(len(best), -1)
    rows = list(map(str, best))
    frames = [
        pd.DataFrame(
            {
                "layer": [head.layer for head in best for _ in columns],
                "head": [head.index for head in best for _ in columns],
                name: list(columns) * len(best),
                "recovery": values.ravel(),
            }
        )
        for name, columns, values in (("site", OF_A_HEAD, by_site), ("label", places, by_place))
    ]
    shared = (
        f" k and v are shared by {model.config.group} heads, all of which get them."
        if model.config.group > 1
        else ""
    )
    return Section(
        "What the strongest heads carry, and where",
        [
            Maps(
                [
                    Heatmap(title, values, "chosen head", axis, rows=rows, columns=list(columns))
                    for title, axis, values, columns in (
                        ("by site, all positions", "site", by_site, OF_A_HEAD),
                        ("z by named position", "label", by_place, places),
                    )
                ],
                note="recovery on the held-out half. q: the head asks for the right thing; k: it is "
                "found in the right place; v: what is there; pattern: q and k together." + shared,
            ),
            Table("heads_by_site", frames[0]),
            Table("heads_by_position", frames[1]),
        ],
    )


def order_section(stream, by_head, places, task, n_layers: int, seed: int) -> Section:
    done, maps, series = stream["resid_pre"], [], []
    cells = cell_table(done, task)[["layer", "label"]]
    by_cell = Effects(done.effects, done.patches, task, named=cells)
    for order, each in by_cell.by_variant().items():
        gap, title = done.gap[task.where(order=order)].mean(), order or "all prompts"
        recovery = each.mean().reshape(n_layers, -1) / gap
        maps.append(position_map(title, recovery, places))
        series.append(Series(title, range(n_layers), recovery[:, -1]))
    return Section(
        "Order by order",
        [
            Maps(maps, note="recovery at resid_pre, for the prompts of each order by themselves."),
            Chart("The residual stream at END", "line", series, "layer", "recovery"),
            effects.by_variant(by_cell, "resid_pre_by_order", seed=seed),
            effects.by_variant(by_head, "heads_by_order", seed=seed),
        ],
    )


def checks(model, task, heads, stream, whole, seed: int) -> list[Check]:
    """That sweeps equal whole forward passes, and that restoring everything recovers everything."""
    wide = tolerance.logits(model, task)
    worst = max(worst_error(model, task, done, "denoise", seed) for done in (heads, stream))
    return [
        Check("sweep and whole forward pass, random patches, logits", worst, wide),
        Check(
            "whole stream restored − clean, logits",
            float(np.abs(whole.effects[0] - whole.gap).max()),
            wide,
        ),
        effects.splits(task),
    ]
