"""Which whole layers does the model need for the task: attention, MLP, both, or a group of heads?

Method  Replace everything that an attention layer, an MLP or a whole block writes to the stream, at all
        positions of the clean prompt, and measure the logit difference at END: by zeros, by the mean
        over the corrupted prompts of the same template, or by the value on the paired corrupted prompt.
        The heads that share a key/value head are removed together in the same three ways. The direct
        effect passes the same replacement along the residual stream alone, final norm computed again.
Units   Logits of answer minus wrong, ablated minus clean, mean over prompts. Negative: the layer helps.
        p by flipping the signs of whole templates, corrected (Benjamini–Hochberg) over the parts of
        one kind and ablation.
Source  Wang et al. 2022, arXiv:2211.00593; Veit et al. 2016, Residual Networks Behave Like Ensembles,
        arXiv:1605.06431.
Limits  One part at a time. Removing a block under zero ablation also removes its biases.
"""

import numpy as np
import pandas as pd

from interp.lab import Count, Layers, ablations, experiment, figures, scores
from interp.methods import parts
from interp.methods.ablate import KINDS, ablate, random_changes
from interp.report import (
    Chart,
    Headline,
    Heatmap,
    Maps,
    NotRun,
    Report,
    Section,
    Series,
    Table,
)

ESTIMATE = ("effect", "ci_low", "ci_high", "p_corrected")


@experiment(
    expects="The attention layers that matter most on one half of the templates matter on the other half "
    "too, more than random changes of equal length.",
    task="ioi",
    sweeps=True,
    default=False,
)
def layer_ablation(model, task, *, top: Layers = 5, draws: Count = 4, seed: int = 0) -> Report:
    kinds_of_part = {"attention": parts.attentions(model), "block": parts.blocks(model)}
    if model.config.d_mlp:
        kinds_of_part["mlp"] = parts.mlps(model)
    everything = [part for each in kinds_of_part.values() for part in each]
    names = pd.DataFrame(
        [(part.layer, name) for name, each in kinds_of_part.items() for part in each],
        columns=["layer", "part"],
    )
    done = ablate(model, task, everything)
    number = len(kinds_of_part["attention"])
    mean = done.effects["mean"][:number]
    chosen = scores.choose(mean, task, min(top, number))
    best = [everything[row] for row in chosen.rows]
    changes = random_changes(model, task, best, draws, seed)
    contests = [scores.contest("random changes of equal length", mean, chosen, changes, task)]
    groups = ablate(model, task, parts.head_groups(model))

    table = layers_table(names, done, task, seed)
    top_table = scores.held_out(names[:number], mean, task, chosen, seed)
    first, clean = top_table.iloc[0], float(done.clean.mean())
    return Report(
        answer=f"Of {number} attention layers of {model.name}, layer {chosen.rows[0]} matters most to "
        f"{task.name}: with its mean in its place the logit difference of {clean:.2f} changes by "
        f"{first.effect:+.2f} on templates that had no say in the choice.",
        verdict=scores.verdict(contests),
        headlines=[
            Headline("clean logit difference", clean, "logits", n=task.n),
            figures.chosen(f"{best[0]}, mean-ablated", first),
        ],
        sections=[
            Section(
                "Every layer, removed in three ways",
                [
                    *(chart(table, kind) for kind in KINDS),
                    Table(
                        "layers",
                        table,
                        title="Every layer and part",
                        note=figures.p_note(task, number),
                    ),
                    scores.agreement_table(done.effects),
                ],
                intro="Below zero: the model does worse without it.",
            ),
            Section(
                "The strongest attention layers",
                [
                    *figures.strongest(
                        "top_layers",
                        "Mean ablation",
                        list(map(str, best)),
                        mean,
                        top_table,
                        task,
                        chosen,
                    ),
                    scores.halves_table({"mean": mean}, chosen, len(best)),
                ],
            ),
            group_section(model, groups, task, seed),
            Section(
                "Order by order",
                [Table("layers_by_order", ablations.by_order(names, done, task, seed))],
            ),
        ],
        controls=[scores.contest_table(contests)],
        checks=ablations.checks(model, task, done, seed),
        not_run=[NotRun("random attention layers of the same layers", "a layer has one")],
    )


def layers_table(names, done, task, seed: int) -> pd.DataFrame:
    """layers.csv: one row a layer, part and ablation."""
    frames = []
    for kind in KINDS:
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
        for kind in KINDS
    ]
    return Section(
        "Groups of heads",
        [Maps(maps), Table("head_groups", table)],
        intro=f"The {config.group} query heads that share a key/value head, together.",
    )
