"""Which whole layers does the model need for the task: attention, MLP, both, or a group of heads?

Method  Replace everything that an attention layer, an MLP or a whole block writes to the residual
        stream, at all positions of the clean prompt, and measure the logit difference at END: by zeros, by
        the mean over other corrupted prompts of the same template, or by the value on the paired corrupted
        prompt (resample). The heads that share a key/value head are removed together in the same ways. The
        direct effect passes the same replacement along the residual stream alone, final norm computed
        again. The strongest attention layers are chosen by resample ablation on the discovery half of the
        screen, ranked on its other half among random sets of attention layers, and confirmed on fresh
        prompts beside changes of equal norm in other directions.
Units   Logits of answer minus wrong, ablated minus clean, mean of templates' means. Negative: the layer
        helps. p inverts the interval, corrected (Benjamini–Hochberg) over the parts of one kind and
        ablation.
Source  Wang et al. 2022, arXiv:2211.00593; Veit et al. 2016, Residual Networks Behave Like Ensembles,
        arXiv:1605.06431.
Limits  One part at a time. Removing a block under zero ablation also removes its biases.
"""

import numpy as np
import pandas as pd

from interp import components
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.report import Chart, Headline, Heatmap, Maps, Report, Section, Series, Table
from interp.study import Count, Layers, study
from interp.views import ablations, figures, judged, scores, tested

ESTIMATE = ("effect", "ci_low", "ci_high", "p_corrected")


@study(
    expects="The attention layers that matter most on the discovery templates matter on held-out ones, more "
    "than random sets of attention layers and than changes of equal norm in other directions.",
    task="ioi",
    cost=90,
    sweeps=True,
    default=False,
)
def layer_ablation(model, task, *, top: Layers = 5, draws: Count = 1, seed: int = 0) -> Report:
    scores.held_apart(task)
    kinds_of_part = {
        "attention": components.attention_layers(model),
        "block": components.layers(model),
    }
    if model.config.d_mlp:
        kinds_of_part["mlp"] = components.mlps(model)
    everything = [part for each in kinds_of_part.values() for part in each]
    names = pd.DataFrame(
        [(part.layer, name) for name, each in kinds_of_part.items() for part in each],
        columns=["layer", "part"],
    )
    done = ablate(model, task, everything)
    number = len(kinds_of_part["attention"])
    resample = done.effects["resample"][:number]
    chosen = scores.choose(resample, task, min(top, number))
    best = [everything[row] for row in chosen.rows]
    fresh = task.confirmation
    confirmed = controls.on_fresh_prompts(model, fresh, best, draws=draws, seed=seed)
    test = tested.judge(
        "attention layers", names[:number], resample, task, chosen, np.zeros(number, dtype=int), fresh,
        confirmed.effects, confirmed.controls, matched="of any layer", labels=list(map(str, best)), seed=seed,
    )  # fmt: skip
    groups = ablate(model, task, components.kv_heads(model))

    table = layers_table(names, done, task, seed)
    first, clean = test.first, float(done.clean.mean())
    return Report(
        answer=f"Of {number} attention layers of {model.name}, layer {chosen.rows[0]} matters most to "
        f"{task.name}: with its value on the corrupted prompt the logit difference of {clean:.2f} changes by "
        f"{first.effect:+.2f} on {fresh.n} held-out prompts. {test.sentence()}",
        verdict=test.verdict,
        headlines=[
            Headline("clean logit difference", clean, "logits", n=task.n),
            *test.headlines(),
        ],
        sections=[
            Section(
                "Every layer, removed in different ways",
                [
                    *(chart(table, kind) for kind in done.effects),
                    Table(
                        "layers",
                        table,
                        title="Every layer and part",
                        note=figures.p_note(task, number),
                    ),
                    scores.agreement_table(done.effects),
                ],
                intro=f"Below zero: the model does worse without it. {ablations.mean_note(task)}",
            ),
            Section(
                "The strongest attention layers",
                [
                    test.confirmed(),
                    test.per_prompt("Resample ablation, prompt by prompt"),
                    Table(
                        "top_layers",
                        scores.held_out(names[:number], resample, task, chosen, seed),
                        title="The same layers on the held-out half of the screen",
                    ),
                    scores.halves_table({"resample": resample}, chosen, len(best)),
                ],
            ),
            group_section(model, groups, task, seed),
            Section(
                "Order by order",
                [Table("layers_by_order", ablations.by_order(names, done, task, seed))],
            ),
        ],
        controls=judged.controls([test]),
        checks=ablations.checks(model, task, done, seed),
        not_run=[*test.not_run, *ablations.not_run(task)],
        files=test.files,
    )


def layers_table(names, done, task, seed: int) -> pd.DataFrame:
    """layers.csv: one row a layer, part and ablation."""
    frames = []
    for kind in done.effects:
        for part in names["part"].unique():
            where = (names["part"] == part).to_numpy()
            frame = scores.estimates(names[where], done.effects[kind][where], task, seed)
            frames.append(
                frame.assign(ablation=kind, direct_effect=done.direct[kind][where].mean(-1))
            )
    columns = ["layer", "part", "ablation", *ESTIMATE, "direct_effect"]
    return pd.concat(frames, ignore_index=True)[columns]


def chart(table: pd.DataFrame, kind: str) -> Chart:
    chosen = table[table["ablation"] == kind]
    series = [
        Series(part, *(frame[name].to_numpy() for name in ("layer", "effect", "ci_low", "ci_high")))
        for part, frame in chosen.groupby("part", sort=False)
    ]
    return Chart(f"{kind} ablation", "line", series, "layer", "effect, logits")


def group_section(model, groups, task, seed: int) -> Section:
    """The query heads of one key/value head, removed together."""
    config = model.config
    names = pd.DataFrame(
        {
            "layer": np.repeat(np.arange(config.n_layers), config.n_kv_heads),
            "kv_head": np.tile(np.arange(config.n_kv_heads), config.n_layers),
        }
    )
    table = ablations.every_effect(names, groups, task, seed)
    maps = [
        Heatmap(
            kind,
            groups.effects[kind].mean(-1).reshape(config.n_layers, -1),
            "layer",
            "kv_head",
            unit="logits",
        )
        for kind in groups.effects
    ]
    return Section(
        "Groups of heads",
        [Maps(maps), Table("head_groups", table)],
        intro=f"The {config.group} query heads that share a key/value head, together.",
    )
