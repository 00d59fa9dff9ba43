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

from typing import Literal

import numpy as np

from interp import components, sites, stats
from interp.components import Slice
from interp.methods import controls
from interp.methods.patch import patch_groups, worst_error
from interp.methods.patch_tables import (
    cell_table,
    cells,
    in_heads,
    of_one_template,
    template_table,
)
from interp.report import Headline, Section, Table
from interp.study import Count, Heads, Report, study
from interp.tasks.batches import labels
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
    n_layers, heads = model.config.n_layers, components.heads(model)
    kinds = [kind for kind in STREAM if sites.Site(kind, 0) in model.sites]
    every = {kind: cells(kind, n_layers, labels(task)) for kind in kinds} | {"z": heads}
    whole = {"halfway": [Slice(sites.resid_pre(n_layers // 2))]}
    done = patch_groups(model, task, every | whole)
    asked = every if noising == "all" else {"resid_pre": every["resid_pre"]}
    noised = patch_groups(model, task, asked, "noise")
    restored, stream = done["z"], {kind: done[kind] for kind in kinds}
    strongest = restored.effects.select(top)
    fresh = controls.on_fresh_prompts(
        model, task.confirmation, strongest.components, "denoise", draws=draws, seed=seed
    )
    test = strongest.test(fresh.effects, fresh.controls, seed=seed)

    fresh_gap = stats.cluster_means(fresh.gap, test.fresh.task.clusters).mean()
    at_end = stream["resid_pre"].recovery.reshape(n_layers, -1)[:, -1]
    over_half = np.flatnonzero(at_end >= 0.5)
    arrives = f"from layer {over_half[0]} on" if len(over_half) else "only after the last layer"
    held_out = restored.where(strongest.held_out).only(strongest.rows).frame(seed)
    tokens, one = of_one_template(model, task, [kind for kind in kinds if kind != "resid_mid"])
    first, n_aligned = task.kept[0], one["resid_pre"].effects.task.n
    inside = in_heads(model, task.only(strongest.held_out), strongest.components)
    orders = stream["resid_pre"].by_variant()
    gap = stats.mean(restored.gap, task.clusters, task.items, seed=seed)
    left = float(np.abs(done["halfway"].effects.values[0] - restored.gap).max())
    swept = [worst_error(model, task, done[each], "denoise", seed) for each in ("z", "resid_pre")]
    return Report.of(
        test,
        f"In {model.name} the residual stream at END holds more than half of what {task.name} needs "
        f"{arrives}. The strongest of {len(heads)} heads, {test.labels[0]}, alone recovers "
        f"{test.first.effect / fresh_gap:.0%} of the gap between clean and corrupted prompts on "
        f"{test.fresh.task.n} held-out ones. {tests.sentence(test, 'restore')}",
        [
            Section(
                "Layer by named position, all templates",
                [
                    patches.maps(
                        stream, "recovery: 1 is all of the gap, from this one activation."
                    ),
                    *patches.noising(stream, noised),
                    patches.positions(stream, seed),
                ],
                intro="Position 0 stands apart as `first`: in many models it is an attention sink.",
            ),
            Section(
                "Layer by position, one template",
                [
                    patches.maps(one, "recovery; the tokens are the first prompt's.", tokens),
                    Table("positions_by_template", template_table(one, tokens)),
                ],
                intro=f"Template {first.template}, {n_aligned} prompts, such as “{first.clean}”.",
            ),
            Section(
                "Every head",
                [
                    *patches.heads(restored, noised.get("z"), seed),
                    *chosen.blocks(
                        test,
                        "top_heads",
                        {"z": restored.effects},
                        "Restored z, prompt by prompt",
                        recovery=held_out["recovery"],
                    ),
                ],
                intro="z of one head restored at all positions.",
            ),
            Section(
                "What the strongest heads carry, and where",
                patches.in_heads(inside, model.config.group),
            ),
            Section(
                "Order by order",
                [
                    patches.maps(orders, "recovery at resid_pre, of each order by itself."),
                    patches.at_last(orders, "The residual stream at END"),
                    effects.by_variant(
                        stream["resid_pre"].effects, "resid_pre_by_order", seed=seed
                    ),
                    effects.by_variant(restored.effects, "heads_by_order", seed=seed),
                ],
            ),
        ],
        headlines=[
            figures.headline("clean − corrupted", gap, "logits"),
            Headline("END carries half", arrives, note="recovery at resid_pre"),
        ],
        checks=[
            tolerance.at_logits(
                "sweep and whole forward pass, random patches, logits", max(swept), model, task
            ),
            tolerance.at_logits("whole stream restored − clean, logits", left, model, task),
            effects.splits(task),
        ],
        files={kind: cell_table(each) for kind, each in stream.items()},
    )
