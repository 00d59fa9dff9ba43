"""Which MLPs does the model need for the task, and which neurons in them?

Method  Replace what one MLP writes at all positions of the clean prompt and measure the logit
        difference at END: `zero` puts zeros, `mean` the mean over other corrupted prompts of the same
        template, position by position, `resample` the value on the paired corrupted prompt. The direct
        effect passes the same replacement along the residual stream alone, final norm computed again.
        The strongest MLPs are chosen by `resample` on the discovery half of the screen, ranked on its
        other half among random sets of MLPs of any layer, and confirmed on fresh prompts beside changes
        of equal norm in other directions. Neurons are picked by a first-order estimate (slope times
        change, one backward pass) on the discovery half, then ablated one by one on fresh prompts, two of
        each template, beside random neurons of the same layers.
Units   Logits of answer minus wrong, ablated minus clean, mean of templates' means. Negative: the part
        helps. p inverts the interval, corrected (Benjamini–Hochberg) over the parts of one ablation.
Source  Wang et al. 2022, arXiv:2211.00593; Nanda 2023, Attribution Patching.
Limits  One part at a time. Zero ablation of an early MLP takes the model to where it has never been:
        a large effect there says that the model breaks, not that the layer knows the answer.
"""

from dataclasses import replace

import numpy as np

from interp import components
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.methods.neurons import neuron_effects
from interp.report import Section
from interp.study import Count, Layers, Neurons, Report, study
from interp.views import ablations, chosen, effects, pictures


@study(
    expects="The MLPs that matter most on the discovery templates matter on held-out ones, more than "
    "random sets of MLPs and than changes of equal norm in other directions.",
    task="ioi",
    cost=60,
    sweeps=True,
    applies=lambda model: None if model.config.d_mlp else f"{model.name} has no MLPs",
)
def mlp_ablation(
    model, task, *, top: Layers = 5, neurons: Neurons = 20, draws: Count = 1, seed: int = 0
) -> Report:
    done = ablate(model, task, components.mlps(model))
    strongest = done.effects["resample"].of_any_layer().select(top)
    test = controls.confirm(model, strongest, draws=draws, seed=seed)
    every = ablations.every(done, "mlps", "Every MLP", seed=seed)
    by_order = effects.by_variant(done.effects, "mlps_by_order", seed=seed)
    return Report.of(
        test,
        ablations.answer(model, test, done, f"that of layer {strongest.components[0].layer}"),
        [
            Section(
                "Every MLP, removed in different ways",
                [
                    effects.by_layer(every.frame, "ablation", "Effect of ablating each MLP"),
                    effects.agreement(done.effects, len(strongest)),
                    every,
                ],
                intro=f"Below zero: the model does worse without it. {ablations.mean_note(task)}",
            ),
            Section("The strongest MLPs", chosen.blocks(test, "top_mlps", done.effects)),
            neuron_section(model, task, neurons, seed),
            Section("Order by order", [by_order]),
        ],
        headlines=[ablations.clean(done)],
        checks=ablations.checks(model, task, done, seed),
        not_run=ablations.not_run(task),
    )


def neuron_section(model, task, top: int, seed: int) -> Section:
    """The neurons that the first-order estimate picks, each ablated on fresh prompts; and random ones
    beside them, under resample ablation alone. Each neuron costs what a whole MLP does: two prompts of a
    template, over which the intervals are, and not all."""
    estimated, fresh = neuron_effects(model, task, "resample"), task.confirmation.at_most(2)
    picked, again = estimated.select(top), neuron_effects(model, fresh, "resample")
    done = ablate(model, fresh, picked.components)
    points = {"picked": (again.only(picked.rows), done.effects["resample"])}
    if len(rows := picked.matched(seed)):
        beside = ablate(model, fresh, [estimated.components[row] for row in rows], ("resample",))
        name = "random neurons of the same layers"
        points[name] = (again.only(rows), beside.effects["resample"])
    table = ablations.every(done, "neurons", "Picked, then ablated on fresh prompts", seed=seed)
    screened = estimated.only(picked.rows).where(picked.discovery).mean()
    frame = table.frame.assign(discovery_effect=np.tile(screened, len(done.effects)), n=fresh.n)
    guessed = np.tile(again.only(picked.rows).mean(), len(done.effects))
    frame["first_order"] = np.where(frame["ablation"] == "resample", guessed, np.nan)
    note = "discovery_effect: the first-order estimate that picked them."
    return Section(
        "Neurons",
        [
            replace(table, frame=frame, note=note),
            pictures.first_order(points, f"Resample ablation, {fresh.n} held-out prompts."),
        ],
        intro=f"{len(picked)} of {len(estimated):,} neurons, picked by the estimate on the discovery "
        "half. The verdict is about MLPs; neurons are shown beside it.",
    )
