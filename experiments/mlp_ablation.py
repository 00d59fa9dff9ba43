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
from interp.components import Neuron
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.methods.first_order import neuron_effects
from interp.report import Chart, Headline, Report, Section, Series, Table
from interp.study import Count, Layers, Neurons, study
from interp.views import ablations, figures, judged, scores, tested

ESTIMATE = ("effect", "ci_low", "ci_high", "p_corrected")


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
    scores.held_apart(task)
    mlps = components.mlps(model)
    names = pd.DataFrame({"layer": range(len(mlps))})
    done = ablate(model, task, mlps)
    resample = done.effects["resample"]
    chosen = scores.choose(resample, task, min(top, len(mlps)))
    best = [mlps[row] for row in chosen.rows]
    fresh = task.confirmation
    confirmed = controls.on_fresh_prompts(model, fresh, best, draws=draws, seed=seed)
    test = tested.judge(
        "MLPs", names, resample, task, chosen, np.zeros(len(mlps), dtype=int), fresh,
        confirmed.effects, confirmed.controls, matched="of any layer", labels=list(map(str, best)), seed=seed,
    )  # fmt: skip

    every = ablations.every_effect(names, done, task, seed)
    first, clean = test.first, float(done.clean.mean())
    return Report(
        answer=f"Of {len(mlps)} MLPs of {model.name}, that of layer {chosen.rows[0]} matters most to "
        f"{task.name}: with its value on the corrupted prompt the logit difference of {clean:.2f} changes by "
        f"{first.effect:+.2f} on {fresh.n} held-out prompts. {test.sentence()}",
        verdict=test.verdict,
        headlines=[
            Headline("clean logit difference", clean, "logits", n=task.n),
            *test.headlines(),
        ],
        sections=[
            Section(
                "Every MLP, removed in different ways",
                [
                    layer_chart(every),
                    scores.agreement_table(done.effects, len(best)),
                    Table("mlps", every, title="Every MLP", note=figures.p_note(task, len(mlps))),
                ],
                intro=f"Below zero: the model does worse without it. {ablations.mean_note(task)}",
            ),
            Section(
                "The strongest MLPs",
                [
                    test.confirmed(),
                    test.per_prompt("Resample ablation, prompt by prompt"),
                    Table(
                        "top_mlps",
                        scores.held_out(names, resample, task, chosen, seed),
                        title="The same MLPs on the held-out half of the screen",
                    ),
                    scores.halves_table(done.effects, chosen, len(best)),
                ],
            ),
            neuron_section(model, task, neurons, seed),
            Section(
                "Order by order",
                [Table("mlps_by_order", ablations.by_order(names, done, task, seed))],
            ),
        ],
        controls=judged.controls([test]),
        checks=ablations.checks(model, task, done, seed),
        not_run=[*test.not_run, *ablations.not_run(task)],
        files=test.files,
    )


def layer_chart(every: pd.DataFrame) -> Chart:
    columns = ("layer", "effect", "ci_low", "ci_high")
    return Chart(
        "Effect of ablating each MLP",
        "line",
        [
            Series(str(kind), *(frame[name].to_numpy() for name in columns))
            for kind, frame in every.groupby("ablation", sort=False)
        ],
        "layer",
        "effect, logits",
    )


def neuron_section(model, task, top: int, seed: int) -> Section:
    """The neurons that the first-order estimate picks, each ablated on fresh prompts; and random ones
    beside them."""
    estimated = neuron_effects(model, task, "resample")
    d_mlp, fresh = model.config.d_mlp, task.confirmation
    layers = np.arange(len(estimated)) // d_mlp
    chosen = scores.choose(estimated, task, top)
    others = scores.others(chosen, layers, seed)
    rows = np.concatenate([chosen.rows, others])
    number = len(chosen.rows)
    neurons = [Neuron(*divmod(int(row), d_mlp)) for row in rows]
    done = ablate(model, fresh, neurons[:number])
    measured = [done.effects["resample"]]
    if len(others):
        measured.append(ablate(model, fresh, neurons[number:], ("resample",)).effects["resample"])
    again = neuron_effects(model, fresh, "resample")[rows]
    names = pd.DataFrame({"layer": rows // d_mlp, "neuron": rows % d_mlp})[:number]
    frames = []
    for kind, effects in done.effects.items():
        found = stats.table(effects, fresh.clusters, fresh.items, seed=seed)
        frames.append(
            scores.beside(names, found[["effect", "ci_low", "ci_high", "p_corrected", "n"]]).assign(
                ablation=kind,
                discovery_effect=estimated[chosen.rows][:, chosen.discovery].mean(-1),
                direct_effect=done.direct[kind].mean(-1),
                first_order=again[:number].mean(-1) if kind == "resample" else np.nan,
            )
        )
    columns = ["layer", "neuron", "ablation", "first_order", "discovery_effect", *ESTIMATE]
    columns += ["direct_effect", "n"]
    exact, guessed = np.concatenate(measured).mean(-1), again.mean(-1)
    rank = stats.rank_correlation(guessed, exact)
    square = float((guessed**2).sum())
    slope = float((guessed * exact).sum()) / square if square else float("nan")
    return Section(
        "Neurons",
        [
            Table(
                "neurons",
                pd.concat(frames, ignore_index=True)[columns],
                title="Picked, then ablated on fresh prompts",
                note="discovery_effect: the first-order estimate that picked them.",
            ),
            Chart(
                "First-order estimate and measured effect",
                "scatter",
                [
                    Series(name, guessed[some], exact[some])
                    for name, some in (
                        ("picked", slice(number)),
                        ("random neurons of the same layers", slice(number, None)),
                    )
                    if len(guessed[some])
                ],
                "first-order estimate, logits",
                "measured effect, logits",
                note=f"Resample ablation, {fresh.n} held-out prompts. Rank correlation "
                f"{float(rank.value):.2f} "
                f"[{float(rank.low):.2f}, {float(rank.high):.2f}]; measured effect for each "
                f"unit of the estimate {slope:.2f}.",
            ),
        ],
        intro=f"{number} of {len(estimated):,} neurons, picked by the estimate on the discovery half. The "
        "verdict is about MLPs; neurons are shown beside it.",
    )
