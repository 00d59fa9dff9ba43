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

from interp import components
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.methods.offsets import offsets
from interp.report import Section
from interp.study import Count, Heads, Report, study
from interp.views import ablations, chosen, effects


@study(
    expects="The heads that matter most on the discovery templates matter on held-out ones, more than "
    "random heads of their layers and than changes of equal norm in other directions.",
    task="ioi",
    cost=120,
    sweeps=True,
)
def head_ablation(model, task, *, top: Heads = 10, draws: Count = 1, seed: int = 0) -> Report:
    done = ablate(model, task, components.heads(model))
    resample = done.effects["resample"]
    strongest = resample.select(top)
    test = controls.confirm(model, strongest, draws=draws, seed=seed)
    split = offsets(model, task, strongest.components, "resample")
    return Report.of(
        test,
        ablations.answer(model, test, done),
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
            Section("The strongest heads", chosen.blocks(test, "top_heads", done.effects)),
            Section(
                "Direct effect, and what comes after",
                ablations.directly(resample, done.direct["resample"], split, strongest),
                intro="Resample ablation. On the chart's diagonal a head acts on the logits alone; above it, "
                "what comes after raises the logit difference again.",
            ),
            Section(
                "Order by order",
                [
                    effects.maps(resample.by_variant(), note="Resample ablation."),
                    effects.by_variant(done.effects, "heads_by_order", seed=seed),
                ],
                intro="The same effects for the prompts of each order by themselves.",
            ),
        ],
        headlines=[ablations.clean(done)],
        checks=[*ablations.checks(model, task, done, seed), ablations.adds_up(model, task, split)],
        not_run=ablations.not_run(task),
    )
