"""Which attention heads does the model need for the task, and does it matter how they are removed?

Method  Replace one head's z at all positions of the clean prompt and measure the logit difference at
        END: `zero` puts zeros, `mean` the mean over other corrupted prompts of the same template,
        position by position, `resample` the value on the paired corrupted prompt. The direct effect
        passes the same replacement along the residual stream alone, final norm computed again; what
        is left of the total is split into later heads, later MLPs and the final norm's new scale. The
        strongest heads are chosen by `resample` on the discovery half of the screen, ranked on its other
        half among random heads of the same layers, and confirmed on fresh prompts beside changes of
        equal norm: in random directions, and along differences of unrelated prompts.
Units   Logits of answer minus wrong, ablated minus clean, mean of templates' means. Negative: the head
        helps. p inverts the interval, corrected (Benjamini–Hochberg) over the heads of one ablation.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593; McGrath et al. 2023, The
        Hydra Effect, arXiv:2307.15771.
Limits  One head at a time: heads that stand in for each other look unimportant. Zero ablation takes
        the model to where it has never been, and depends on where biases are kept.
"""

import numpy as np

from interp import components
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.methods.offsets import offsets
from interp.report import Chart, Check, Formula, Headline, Maps, Section, Series, Table
from interp.study import Count, Heads, Report, study
from interp.views import ablations, effects, tests, tolerance


@study(
    expects="The heads that matter most on the discovery templates matter on held-out ones, more than "
    "random heads of their layers and than changes of equal norm in other directions.",
    task="ioi",
    cost=120,
    sweeps=True,
)
def head_ablation(model, task, *, top: Heads = 10, draws: Count = 1, seed: int = 0) -> Report:
    heads = components.heads(model)
    done = ablate(model, task, heads)
    resample = done.effects["resample"]
    strongest = resample.select(top)
    fresh = controls.on_fresh_prompts(
        model, task.confirmation, strongest.components, draws=draws, seed=seed
    )
    test = strongest.test(fresh.effects, fresh.controls, seed=seed)
    split = offsets(model, task, strongest.components, "resample")
    clean, first = float(done.clean.mean()), test.first
    return Report.of(
        test,
        f"Of {len(heads)} heads of {model.name}, {test.labels[0]} matters most to {task.name}: with its "
        f"value on the corrupted prompt the logit difference of {clean:.2f} changes by "
        f"{first.effect:+.2f} on {test.fresh.task.n} held-out prompts. {tests.sentence(test)}",
        [
            Section(
                "Every head, removed in different ways",
                [
                    effects.maps(done.effects, note=ablations.mean_note(task)),
                    effects.agreement(done.effects),
                    ablations.every(done, "heads", "Every head", seed=seed),
                ],
                intro="Red: the model does worse without the head. Each map has its own scale.",
            ),
            Section(
                "The strongest heads",
                [
                    tests.confirmed(test),
                    tests.per_prompt(test, "Resample ablation, prompt by prompt"),
                    effects.held_out(
                        strongest,
                        "top_heads",
                        "The same heads on the held-out half of the screen",
                        seed,
                    ),
                    effects.halves(done.effects, strongest),
                ],
            ),
            directly(done, split, strongest),
            Section(
                "Order by order",
                [
                    effects.maps(resample.by_variant(), note="Resample ablation."),
                    effects.by_variant(done.effects, "heads_by_order", seed=seed),
                ],
                intro="The same effects for the prompts of each order by themselves.",
            ),
        ],
        headlines=[Headline("clean logit difference", clean, "logits", n=task.n)],
        checks=[
            *ablations.checks(model, task, done, seed),
            Check(
                "direct + later heads + later MLPs + rescaling − total, logits",
                split.error,
                tolerance.logits(model, task),
            ),
        ],
        not_run=ablations.not_run(task),
    )


def directly(done, split, strongest) -> Section:
    """Direct effect beside total effect, and where the difference comes from for the top heads."""
    total, direct = done.effects["resample"].mean(), done.direct["resample"].mean()
    n_layers = strongest.screen.names["layer"].nunique()
    terms = {
        name: getattr(split, name)[:, strongest.held_out].mean(-1)
        for name in ("total", "direct", "later_heads", "later_mlps", "rescaling", "offset")
    }
    repaired = (terms["offset"] > 0) & (terms["direct"] < 0)
    terms["self_repair"] = np.where(repaired, terms["offset"], np.nan)
    maps = [
        effects.head_map(title, values, n_layers, "logits")
        for title, values in (("direct", direct), ("total − direct", total - direct))
    ]
    return Section(
        "Direct effect, and what comes after",
        [
            Formula("total = direct + later heads + later MLPs + rescaling by the final norm"),
            Maps(maps, note="Resample ablation, as in its map above."),
            Chart(
                "Direct and total effect of every head",
                "scatter",
                [Series("heads", direct, total)],
                "direct effect, logits",
                "total effect, logits",
                note="On the diagonal a head acts on the logits alone; above it, what comes after "
                "raises the logit difference again.",
            ),
            Table(
                "offsets",
                strongest.names.assign(**terms),
                title="The strongest heads of the discovery half, on the screen's other half",
                note="self_repair is the offset where the head helped directly and what comes after "
                "makes up for it; elsewhere there is nothing to repair.",
            ),
        ],
    )
