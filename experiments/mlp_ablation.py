"""Which MLPs does the model need for the task, and which neurons in them?

Method  Replace what one MLP writes at all positions of the clean prompt and measure the logit
        difference at END: `zero` puts zeros, `mean` the mean over the corrupted prompts of the same
        template, position by position, `resample` the value on the paired corrupted prompt. The direct
        effect passes the same replacement along the residual stream alone, final norm computed again.
        Neurons are picked by a first-order estimate (slope times change, one backward pass) on the
        discovery half of the templates, then ablated one by one and estimated on the other half.
Units   Logits of answer minus wrong, ablated minus clean, mean over prompts. Negative: the part helps.
        p by flipping the signs of whole templates, corrected (Benjamini–Hochberg) over the parts of
        one ablation.
Source  Wang et al. 2022, arXiv:2211.00593; Nanda 2023, Attribution Patching.
Limits  One part at a time. Zero ablation of an early MLP takes the model to where it has never been:
        a large effect there says that the model breaks, not that the layer knows the answer.
"""

import numpy as np
import pandas as pd

from interp import stats
from interp.lab import Count, Layers, Neurons, ablations, experiment, figures, scores
from interp.methods import parts
from interp.methods.ablate import ablate, random_changes
from interp.methods.first_order import neuron_effects
from interp.report import (
    Chart,
    Headline,
    NotRun,
    Report,
    Section,
    Series,
    Table,
)

ESTIMATE = ("effect", "ci_low", "ci_high", "p_corrected")


@experiment(
    expects="The MLPs that matter most on one half of the templates matter on the other half too, more "
    "than random changes of equal length, and so do the neurons picked there, more than random "
    "neurons of their layers.",
    task="ioi",
    sweeps=True,
    applies=lambda model: None if model.config.d_mlp else f"{model.name} has no MLPs",
)
def mlp_ablation(
    model, task, *, top: Layers = 5, neurons: Neurons = 20, draws: Count = 4, seed: int = 0
) -> Report:
    mlps = parts.mlps(model)
    names = pd.DataFrame({"layer": range(len(mlps))})
    done = ablate(model, task, mlps)
    mean = done.effects["mean"]
    chosen = scores.choose(mean, task, min(top, len(mlps)))
    best = [mlps[row] for row in chosen.rows]
    changes = random_changes(model, task, best, draws, seed)
    section, of_neurons = neuron_section(model, task, neurons, seed)
    contests = [
        scores.contest("MLPs: random changes of equal length", mean, chosen, changes, task),
        of_neurons,
    ]

    every = ablations.every_effect(names, done, task, seed)
    top_table = scores.held_out(names, mean, task, chosen, seed)
    first, clean = top_table.iloc[0], float(done.clean.mean())
    return Report(
        answer=f"Of {len(mlps)} MLPs of {model.name}, that of layer {chosen.rows[0]} matters most to "
        f"{task.name}: with its mean in its place the logit difference of {clean:.2f} changes by "
        f"{first.effect:+.2f} on templates that had no say in the choice.",
        verdict=scores.verdict(contests),
        headlines=[
            Headline("clean logit difference", clean, "logits", n=task.n),
            figures.chosen(f"{best[0]}, mean-ablated", first),
        ],
        sections=[
            Section(
                "Every MLP, removed in three ways",
                [
                    layer_chart(every),
                    scores.agreement_table(done.effects, len(best)),
                    Table("mlps", every, title="Every MLP", note=figures.p_note(task, len(mlps))),
                ],
                intro="Below zero: the model does worse without it.",
            ),
            Section(
                "The strongest MLPs",
                [
                    *figures.strongest(
                        "top_mlps",
                        "Mean ablation",
                        list(map(str, best)),
                        mean,
                        top_table,
                        task,
                        chosen,
                    ),
                    scores.halves_table(done.effects, chosen, len(best)),
                ],
            ),
            section,
            Section(
                "Order by order",
                [Table("mlps_by_order", ablations.by_order(names, done, task, seed))],
            ),
        ],
        controls=[scores.contest_table(contests)],
        checks=ablations.checks(model, task, done, seed),
        not_run=[NotRun("random MLPs of the same layers", "a layer has one MLP")],
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


def neuron_section(model, task, top: int, seed: int):
    """The neurons that the first-order estimate picks, each ablated; and random ones beside them."""
    estimated = neuron_effects(model, task, "mean")
    d_mlp = model.config.d_mlp
    layers = np.arange(len(estimated)) // d_mlp
    chosen = scores.choose(estimated, task, top)
    others = scores.peers(chosen, layers, seed, each=1)
    rows = np.concatenate([chosen.rows, others])
    picked = parts.neurons([divmod(int(row), d_mlp) for row in rows])
    done = ablate(model, task, picked)
    number = len(chosen.rows)
    # Numbered as they were ablated: first the chosen, then the others.
    again = scores.Chosen(np.arange(number), chosen.signs[rows], chosen.discovery)
    mean = done.effects["mean"]
    contest = scores.contest(
        "neurons: random neurons of the same layers", mean, again, mean[number:], task, seed
    )
    names = pd.DataFrame({"layer": rows // d_mlp, "neuron": rows % d_mlp})[:number]
    frames = []
    for kind, effects in done.effects.items():
        frame = scores.held_out(names, effects[:number], task, again, seed)
        where = again.held_out
        frame = frame.assign(
            ablation=kind,
            direct_effect=done.direct[kind][:number, where].mean(-1),
            first_order=estimated[chosen.rows][:, where].mean(-1) if kind == "mean" else np.nan,
        )
        frames.append(frame)
    columns = ["layer", "neuron", "ablation", "first_order", "discovery_effect", *ESTIMATE]
    columns += ["direct_effect", "n"]
    exact, guessed = mean.mean(-1), estimated[rows].mean(-1)
    rank = stats.rank_correlation(guessed, exact)
    slope = float((guessed * exact).sum() / (guessed**2).sum())
    section = Section(
        "Neurons",
        [
            Table(
                "neurons",
                pd.concat(frames, ignore_index=True)[columns],
                title="Picked, then ablated",
            ),
            Chart(
                "First-order estimate and measured effect",
                "scatter",
                [
                    Series("picked", guessed[:number], exact[:number]),
                    Series("random neurons of the same layers", guessed[number:], exact[number:]),
                ],
                "first-order estimate, logits",
                "measured effect, logits",
                note=f"Mean ablation. Rank correlation {float(rank.value):.2f} "
                f"[{float(rank.low):.2f}, {float(rank.high):.2f}]; measured effect for each "
                f"unit of the estimate {slope:.2f}.",
            ),
        ],
        intro=f"{number} of {len(estimated):,} neurons, picked by the estimate on the discovery half; "
        "effects are those of the other half.",
    )
    return section, contest
