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

from interp import components, sites
from interp.components import Slice
from interp.methods import controls, patch_tables
from interp.methods.patch import patch_groups
from interp.report import Headline, Section, Table
from interp.study import Count, Heads, Report, study
from interp.tasks.batches import labels
from interp.views import effects, patches, tests


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
    kinds = patch_tables.stream_kinds(model)
    cells = {kind: patch_tables.cells(kind, n_layers, labels(task)) for kind in kinds}
    halfway = [Slice(sites.resid_pre(n_layers // 2))]
    done = patch_groups(model, task, {**cells, "z": heads, "halfway": halfway})
    wanted = {**cells, "z": heads} if noising == "all" else {"resid_pre": cells["resid_pre"]}
    noised = patch_groups(model, task, wanted, "noise")
    restored, stream = done["z"], {kind: done[kind] for kind in kinds}
    strongest, by_order = restored.effects.select(top), stream["resid_pre"].by_variant()
    fresh = controls.on_fresh_prompts(
        model, task.confirmation, strongest.components, "denoise", draws=draws, seed=seed
    )
    test = strongest.test(fresh.effects, fresh.controls, seed=seed)
    tokens, aligned = patch_tables.of_one_template(model, task)
    n_prompts, first = aligned["resid_pre"].effects.task.n, task.kept[0]
    held_out = task.only(strongest.held_out)
    inside = patch_tables.in_heads(model, held_out, strongest.components)
    arrives, swept = patches.arrives(stream["resid_pre"]), ("z", "resid_pre")
    half = Headline("END carries half", arrives, note="recovery at resid_pre")
    return Report.of(
        test,
        f"In {model.name} the residual stream at END holds more than half of what {task.name} needs "
        f"{arrives}. The strongest of {len(heads)} heads, {test.labels[0]}, alone recovers "
        f"{fresh.recovery[0]:.0%} of the gap between clean and corrupted prompts on "
        f"{test.fresh.task.n} held-out ones. {tests.sentence(test, 'restore')}",
        [
            Section(
                "Layer by named position, all templates",
                [
                    patches.maps(stream, patches.RECOVERY),
                    *patches.noising(stream, noised),
                    patches.positions(stream, seed),
                ],
                intro="Position 0 stands apart as `first`: in many models it is an attention sink.",
            ),
            Section(
                "Layer by position, one template",
                [
                    patches.maps(aligned, "recovery; the tokens are the first prompt's.", tokens),
                    Table("positions_by_template", patch_tables.template_table(aligned, tokens)),
                ],
                intro=f"Template {first.template}, {n_prompts} prompts, such as “{first.clean}”.",
            ),
            Section(
                "Every head",
                patches.heads(test, restored, noised.get("z")),
                intro="z of one head restored at all positions.",
            ),
            Section(
                "What the strongest heads carry, and where",
                patches.in_heads(inside, model.config.group),
            ),
            Section(
                "Order by order",
                [
                    patches.maps(by_order, "recovery at resid_pre, of each order by itself."),
                    patches.at_last(by_order, "The residual stream at END"),
                    effects.by_variant(done["resid_pre"].effects, "resid_pre_by_order", seed=seed),
                    effects.by_variant(restored.effects, "heads_by_order", seed=seed),
                ],
            ),
        ],
        headlines=[patches.gap(restored, seed), half],
        checks=patches.checks(model, {each: done[each] for each in swept}, done["halfway"], seed),
        files={kind: patch_tables.cell_table(each) for kind, each in stream.items()},
    )
