"""Which MLPs does the model need for the task, and which neurons in them?

Method  Replace what one MLP writes at all positions of the clean prompt and measure the logit
        difference at END: `zero` puts zeros, `mean` the mean over other corrupted prompts of the same
        template, position by position, `resample` the value on the paired corrupted prompt. The direct
        effect passes the same replacement along the residual stream alone, final norm computed again.
        The strongest MLPs are chosen by `resample` on the discovery half of the screen, ranked on its
        other half among random sets of MLPs of any layer, and confirmed on fresh prompts beside changes
        of equal norm in other directions. Neurons are picked by a first-order estimate (slope times
        change, one backward pass) on the discovery half, then ablated one by one on fresh prompts beside
        random neurons of the same layers.
Units   Logits of answer minus wrong, ablated minus clean, mean of templates' means. Negative: the part
        helps. p inverts the interval, corrected (Benjamini–Hochberg) over the parts of one ablation.
Source  Wang et al. 2022, arXiv:2211.00593; Nanda 2023, Attribution Patching.
Limits  One part at a time. Zero ablation of an early MLP takes the model to where it has never been:
        a large effect there says that the model breaks, not that the layer knows the answer.
"""

import numpy as np
import pandas as pd

from interp import components, stats
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.methods.first_order import neuron_effects
from interp.report import Chart, Headline, Section, Series, Table
from interp.study import Count, Layers, Neurons, Report, study
from interp.views import ablations, effects, tests


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
    mlps = components.mlps(model)
    done = ablate(model, task, mlps)
    strongest = done.effects["resample"].of_any_layer().select(top)
    fresh = controls.on_fresh_prompts(
        model, task.confirmation, strongest.components, draws=draws, seed=seed
    )
    test = strongest.test(
        fresh.effects, fresh.controls, what="MLPs", matched="of any layer", seed=seed
    )
    every = ablations.every(done, "mlps", "Every MLP", seed=seed)
    clean = float(done.clean.mean())
    return Report.of(
        test,
        f"Of {len(mlps)} MLPs of {model.name}, that of layer {strongest.rows[0]} matters most to "
        f"{task.name}: with its value on the corrupted prompt the logit difference of {clean:.2f} changes "
        f"by {test.first.effect:+.2f} on {test.fresh.task.n} held-out prompts. {tests.sentence(test)}",
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
            Section(
                "The strongest MLPs",
                [
                    tests.confirmed(test),
                    tests.per_prompt(test, "Resample ablation, prompt by prompt"),
                    effects.held_out(
                        strongest,
                        "top_mlps",
                        "The same MLPs on the held-out half of the screen",
                        seed,
                    ),
                    effects.halves(done.effects, strongest),
                ],
            ),
            neuron_section(model, task, neurons, seed),
            Section(
                "Order by order", [effects.by_variant(done.effects, "mlps_by_order", seed=seed)]
            ),
        ],
        headlines=[Headline("clean logit difference", clean, "logits", n=task.n)],
        checks=ablations.checks(model, task, done, seed),
        not_run=ablations.not_run(task),
    )


def neuron_section(model, task, top: int, seed: int) -> Section:
    """The neurons that the first-order estimate picks, each ablated on fresh prompts; and random ones
    beside them, under resample ablation alone."""
    estimated, fresh = neuron_effects(model, task, "resample"), task.confirmation
    picked = estimated.select(top)
    matched = picked.matched(seed)
    done = ablate(model, fresh, picked.components)
    again = neuron_effects(model, fresh, "resample")
    screened = estimated.only(picked.rows).where(picked.discovery).mean()
    guessed = again.only(picked.rows).mean()

    def row(kind: str) -> pd.DataFrame:
        each = done.effects[kind]
        found = stats.table(each.values, fresh.clusters, fresh.items, seed=seed)
        found = found[["effect", "ci_low", "ci_high", "p_corrected"]].assign(n=found["n"])
        found.insert(0, "discovery_effect", screened)
        found.insert(0, "first_order", guessed if kind == "resample" else np.nan)
        found.insert(0, "ablation", kind)
        found.insert(7, "direct_effect", done.direct[kind].mean())
        return each.beside(found)

    points = {"picked": (guessed, done.effects["resample"].mean())}
    if len(matched):
        beside = [estimated.components[each] for each in matched]
        exact = ablate(model, fresh, beside, ("resample",)).effects["resample"].mean()
        points["random neurons of the same layers"] = again.only(matched).mean(), exact
    return Section(
        "Neurons",
        [
            Table(
                "neurons",
                pd.concat(map(row, done.effects), ignore_index=True),
                title="Picked, then ablated on fresh prompts",
                note="discovery_effect: the first-order estimate that picked them.",
            ),
            estimate_chart(points, fresh.n),
        ],
        intro=f"{len(picked)} of {len(estimated):,} neurons, picked by the estimate on the discovery "
        "half. The verdict is about MLPs; neurons are shown beside it.",
    )


def estimate_chart(points, n: int) -> Chart:
    """The first-order estimate of each neuron beside its measured effect."""
    guessed, exact = (np.concatenate(each) for each in zip(*points.values(), strict=True))
    rank = stats.rank_correlation(guessed, exact)
    square = float((guessed**2).sum())
    slope = float((guessed * exact).sum()) / square if square else float("nan")
    return Chart(
        "First-order estimate and measured effect",
        "scatter",
        [Series(name, *each) for name, each in points.items()],
        "first-order estimate, logits",
        "measured effect, logits",
        note=f"Resample ablation, {n} held-out prompts. Rank correlation {float(rank.value):.2f} "
        f"[{float(rank.low):.2f}, {float(rank.high):.2f}]; measured effect for each unit of the estimate "
        f"{slope:.2f}.",
    )
