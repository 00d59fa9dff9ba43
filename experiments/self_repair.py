"""When a head that writes the answer is ablated, do later parts of the model make up for it?

Method  Choose, on the discovery half of the screen, the heads whose resample ablation lowers the logit
        difference most directly (the replacement passed along the residual stream alone, final norm
        computed again). Ablate each at all positions and measure the total effect at END. The offset,
        total − direct, is what later heads write differently, plus what later MLPs write differently,
        plus the final norm's new scale: three terms that add up exactly. Only a positive offset is
        self-repair. The chosen heads' mean offset is ranked on the other half of the screen among random
        heads of the same layers, and confirmed on fresh prompts beside the offsets of changes of equal
        norm in other directions. Every later head's and MLP's direct contribution is shown before and
        after.
Units   Logits of answer minus wrong, ablated minus clean, mean of templates' means. p inverts the
        interval, corrected (Benjamini–Hochberg) over the heads chosen.
Source  McGrath et al. 2023, The Hydra Effect, arXiv:2307.15771; Rushing & Nanda 2024, Explorations of
        Self-Repair in Language Models, arXiv:2402.15390.
Limits  An offset says that later parts react, not that they are there to. A direct effect depends on
        what the head is replaced by: here by its value on the corrupted prompt.
"""

from dataclasses import replace

from interp import components, stats
from interp.effects import Effects
from interp.errors import NotApplicable
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.methods.offsets import offsets
from interp.report import Headline, Section
from interp.study import Components, Heads, Report, study
from interp.views import ablations, effects, estimates, tests


@study(
    expects="Later parts make up for some of what an ablated head did: over the heads that write most of "
    "the answer directly, the offset is positive on held-out templates, above that of random heads of their "
    "layers and of changes of equal norm in other directions.",
    task="ioi",
    cost=90,
    sweeps=True,
    default=False,
)
def self_repair(
    model, task, *, top: Heads = 10, responders: Components = 5, seed: int = 0
) -> Report:
    every = ablate(model, task, components.heads(model), ("resample",))
    total, direct = every.effects["resample"], every.direct["resample"]
    chosen = direct.select(top, lowering=True)
    if not len(chosen):
        raise NotApplicable("no head writes towards the answer, so there is nothing to repair")
    done = offsets(model, task, chosen.components, "resample")
    fresh, directly = (
        measure(model, task.confirmation, chosen.components, seed=seed)
        for measure in (controls.on_fresh_prompts, controls.directly_on_fresh_prompts)
    )
    after_all = fresh - directly
    # An offset counts upwards, whichever way it went where the heads were chosen.
    offset = replace(chosen, screen=total - direct).upwards()
    test = offset.test(after_all.effects, after_all.controls, what="heads' offsets", seed=seed)

    lost, added = directly.effects.values, float(test.confirmation.chosen.value)
    share = stats.ratio_of_means(
        test.fresh.values.mean(0), -lost.mean(0), test.fresh.task.clusters, seed=seed
    )
    made_up = f": {float(share.value):.0%} of the loss is made up for."
    by_head = Effects(done.offset, chosen.components, task)
    table = ablations.repair(done, test)
    positive = int((test.each.value > 0).sum())
    return Report.of(
        test,
        f"Ablating one of the {len(chosen)} heads of {model.name} that write most of the answer has a "
        f"direct effect of {lost.mean():+.2f} logits on average on {test.fresh.task.n} held-out prompts, "
        f"and what comes after adds {added:+.2f}" + (made_up if added > 0 > lost.mean() else "."),
        [
            Section(
                "Each head, ablated",
                [
                    ablations.formula(),
                    ablations.terms(table.frame, test.labels),
                    table,
                    tests.confirmed(test),
                    tests.per_prompt(test, "Offset, prompt by prompt"),
                ],
                intro="Above zero: later parts raise the logit difference again.",
            ),
            Section("Who responds", ablations.responses(done, chosen.held_out, responders)),
            Section("Order by order", [effects.by_variant(by_head, "offsets_by_order", seed=seed)]),
        ],
        figures=[
            estimates.headline(
                "offset / −direct", share, note="ratio of means; positive: made up for"
            ),
            Headline("heads with a positive offset", f"{positive} of {len(chosen)}"),
        ],
        checks=[ablations.adds_up(model, task, done), effects.splits(task)],
    )
