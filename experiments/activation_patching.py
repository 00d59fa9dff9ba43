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
from interp.methods import controls
from interp.methods.patch import At, patch_groups, worst_error
from interp.methods.patch_tables import OF_A_HEAD, cell_table, cells, inside, template_table
from interp.report import Check, Headline, Heatmap, Maps, Section, Table
from interp.study import Count, Heads, Report, study
from interp.tasks.batches import aligned, labels
from interp.views import chosen, effects, figures, patches, tests, tolerance

# resid_mid lies between resid_pre of two layers; every position of it is shown at named ones only.
STREAM = ("resid_pre", "resid_mid", "attn_out", "mlp_out")


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
    n_layers, places, heads = model.config.n_layers, labels(task), components.heads(model)
    kinds = [kind for kind in STREAM if sites.Site(kind, 0) in model.sites]
    stream = {kind: cells(kind, n_layers, places) for kind in kinds}
    halfway = [Slice(sites.resid_pre(n_layers // 2))]
    done = patch_groups(model, task, {**stream, "z": heads, "halfway": halfway})
    wanted = {**stream, "z": heads} if noising == "all" else {"resid_pre": stream["resid_pre"]}
    noised = patch_groups(model, task, wanted, "noise")
    by_head, gap, at_end = done["z"].effects, done["z"].gap, done["resid_pre"].recovery
    strongest = by_head.select(top)
    fresh = controls.on_fresh_prompts(
        model, task.confirmation, strongest.components, "denoise", draws=draws, seed=seed
    )
    test = strongest.test(fresh.effects, fresh.controls, seed=seed)

    recovered = (
        test.first.effect / stats.cluster_means(fresh.gap, fresh.effects.task.clusters).mean()
    )
    over_half = np.flatnonzero(at_end.reshape(n_layers, -1)[:, -1] >= 0.5)
    arrives = f"from layer {over_half[0]} on" if len(over_half) else "only after the last layer"
    wide = tolerance.logits(model, task)
    worst = max(
        worst_error(model, task, done[each], "denoise", seed) for each in ("z", "resid_pre")
    )
    whole = float(np.abs(done["halfway"].effects.values[0] - gap).max())
    return Report.of(
        test,
        f"In {model.name} the residual stream at END holds more than half of what {task.name} needs "
        f"{arrives}. The strongest of {len(heads)} heads, {test.labels[0]}, alone recovers "
        f"{recovered:.0%} of the gap between clean and corrupted prompts on {test.fresh.task.n} held-out "
        f"ones. {tests.sentence(test, 'restore')}",
        [
            by_position({kind: done[kind] for kind in kinds}, noised, seed),
            one_template(model, task, [kind for kind in kinds if kind != "resid_mid"]),
            every_head(done["z"], noised.get("z"), test),
            in_the_strongest(model, task.only(strongest.held_out), strongest.components),
            Section(
                "Order by order",
                [
                    patches.maps(
                        done["resid_pre"].by_variant(),
                        "recovery at resid_pre, for the prompts of each order by themselves.",
                    ),
                    patches.at_last(done["resid_pre"].by_variant(), "The residual stream at END"),
                    effects.by_variant(done["resid_pre"].effects, "resid_pre_by_order", seed=seed),
                    effects.by_variant(by_head, "heads_by_order", seed=seed),
                ],
            ),
        ],
        headlines=[
            figures.headline(
                "clean − corrupted",
                stats.mean(gap, task.clusters, task.items, seed=seed),
                "logits",
            ),
            Headline("END carries half", arrives, note="recovery at resid_pre"),
        ],
        checks=[
            Check("sweep and whole forward pass, random patches, logits", worst, wide),
            Check("whole stream restored − clean, logits", whole, wide),
            effects.splits(task),
        ],
        files={kind: cell_table(done[kind]) for kind in kinds},
    )


def by_position(stream, noised, seed: int) -> Section:
    """Layer by named position over all templates, with intervals, and noising beside denoising."""
    removed = {kind: each for kind, each in noised.items() if kind in stream}
    frames = [each.frame(seed) for each in stream.values()]
    return Section(
        "Layer by named position, all templates",
        [
            patches.maps(
                stream, "recovery: 1 means that this one activation brings all of the gap back."
            ),
            patches.maps(
                {f"{kind}, noising": each for kind, each in removed.items()},
                "Share of the gap that one corrupted activation removes from the clean run. Rank "
                f"correlation with denoising: {patches.agreement(stream, removed)}.",
            ),
            Table(
                "positions",
                pd.concat(frames, ignore_index=True),
                title="Every cell",
                note=effects.p_note(stream["resid_pre"].effects.task, len(frames[0])),
            ),
            *(
                Table(f"{kind}_noising", cell_table(each).rename(columns={"recovery": "removed"}))
                for kind, each in removed.items()
            ),
        ],
        intro="Position 0 stands apart as `first`: in many models it is an attention sink.",
    )


def one_template(model, task, kinds) -> Section:
    """Every position of one template, its first prompt's tokens as column heads."""
    batch = aligned(task, model.device)[0]
    prompt, tokens = batch.prompts[0], model.to_str_tokens(batch.clean[0])
    every = {kind: cells(kind, model.config.n_layers, range(len(tokens))) for kind in kinds}
    done = patch_groups(model, task.only(np.isin(np.arange(task.n), batch.indices)), every)
    return Section(
        "Layer by position, one template",
        [
            patches.maps(
                done, "recovery; the tokens are those of the template's first prompt.", tokens
            ),
            Table("positions_by_template", template_table(done, tokens)),
        ],
        intro=f"Template {prompt.template}, {len(batch)} prompts, such as “{prompt.clean}”.",
    )


def every_head(restored, removed, test) -> Section:
    """Every head's z, restored and, where it was asked for, removed; and the strongest."""
    chosen_rows, held_out = test.selection.rows, test.selection.held_out
    there = restored.where(held_out).only(chosen_rows).frame(test.seed)
    every = effects.every(
        restored.effects, "heads", "Every head, z at all positions", seed=test.seed
    )
    tables = [replace(every, frame=every.frame.assign(recovery=restored.recovery))]
    n_layers = restored.effects.names["layer"].nunique()
    maps = [effects.head_map("recovery by z", restored.recovery, n_layers)]
    if removed:
        maps.append(effects.head_map("removed by z, noising", removed.recovery, n_layers))
        frame = removed.effects.frame(test.seed).assign(removed=removed.recovery)
        tables.append(Table("heads_noising", frame, title="Every head, noising"))
    return Section(
        "Every head",
        [
            Maps(maps),
            *chosen.blocks(
                test,
                "top_heads",
                {"z": restored.effects},
                "Restored z, prompt by prompt",
                recovery=there["recovery"],
            ),
            *tables,
        ],
        intro="z of one head restored at all positions.",
    )


def in_the_strongest(model, task, best) -> Section:
    """What of the strongest heads carries it, and at which position, on the prompts of this task."""
    columns = {"site": OF_A_HEAD, "label": labels(task)}
    titles = {"site": "by site, all positions", "label": "z by named position"}
    placed = [At(head, place) for head in best for place in columns["label"]]
    done = patch_groups(model, task, {"site": inside(model, best), "label": placed})
    maps, frames = [], []
    for axis, each in done.items():
        rows, values = list(map(str, best)), each.recovery.reshape(len(best), -1)
        names = list(columns[axis])
        maps.append(Heatmap(titles[axis], values, "chosen head", axis, rows=rows, columns=names))
        named = [head.columns() | {axis: name} for head in best for name in names]
        frames.append(pd.DataFrame(named).assign(recovery=each.recovery))
    shared = f" k and v are shared by {model.config.group} heads, all of which get them."
    return Section(
        "What the strongest heads carry, and where",
        [
            Maps(
                maps,
                note="recovery on the held-out half. q: the head asks for the right thing; k: it is "
                "found in the right place; v: what is there; pattern: q and k together."
                + (shared if model.config.group > 1 else ""),
            ),
            Table("heads_by_site", frames[0]),
            Table("heads_by_position", frames[1]),
        ],
    )
