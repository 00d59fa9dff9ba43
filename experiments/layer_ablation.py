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

from dataclasses import replace

import pandas as pd

from interp import components
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.report import Headline, Heatmap, Maps, Section, Table
from interp.study import Count, Layers, Report, study
from interp.views import ablations, effects, tests


@study(
    expects="The attention layers that matter most on the discovery templates matter on held-out ones, more "
    "than random sets of attention layers and than changes of equal norm in other directions.",
    task="ioi",
    cost=90,
    sweeps=True,
    default=False,
)
def layer_ablation(model, task, *, top: Layers = 5, draws: Count = 1, seed: int = 0) -> Report:
    parts = {
        "attention": components.attention_layers(model),
        "block": components.layers(model),
        **({"mlp": components.mlps(model)} if model.config.d_mlp else {}),
    }
    done = named(ablate(model, task, [each for some in parts.values() for each in some]), parts)
    number = len(parts["attention"])
    resample = done.effects["resample"].only(slice(number)).of_any_layer()
    strongest = resample.select(top)
    fresh = controls.on_fresh_prompts(
        model, task.confirmation, strongest.components, draws=draws, seed=seed
    )
    test = strongest.test(
        fresh.effects, fresh.controls, what="attention layers", matched="of any layer", seed=seed
    )
    table, clean = layers_table(done, parts, seed), float(done.clean.mean())
    return Report.of(
        test,
        f"Of {number} attention layers of {model.name}, layer {strongest.rows[0]} matters most to "
        f"{task.name}: with its value on the corrupted prompt the logit difference of {clean:.2f} changes "
        f"by {test.first.effect:+.2f} on {test.fresh.task.n} held-out prompts. {tests.sentence(test)}",
        [
            Section(
                "Every layer, removed in different ways",
                [
                    *(
                        effects.by_layer(some, "part", f"{kind} ablation")
                        for kind, some in table.groupby("ablation", sort=False)
                    ),
                    Table(
                        "layers",
                        table,
                        title="Every layer and part",
                        note=effects.p_note(task, number),
                    ),
                    effects.agreement(done.effects),
                ],
                intro=f"Below zero: the model does worse without it. {ablations.mean_note(task)}",
            ),
            Section(
                "The strongest attention layers",
                [
                    tests.confirmed(test),
                    tests.per_prompt(test, "Resample ablation, prompt by prompt"),
                    effects.held_out(
                        strongest,
                        "top_layers",
                        "The same layers on the held-out half of the screen",
                        seed,
                    ),
                    effects.halves({"resample": resample}, strongest),
                ],
            ),
            groups_section(model, task, seed),
            Section(
                "Order by order", [effects.by_variant(done.effects, "layers_by_order", seed=seed)]
            ),
        ],
        headlines=[Headline("clean logit difference", clean, "logits", n=task.n)],
        checks=ablations.checks(model, task, done, seed),
        not_run=ablations.not_run(task),
    )


def named(done, parts):
    """The same ablation, its rows named by layer and part."""
    rows = [(each.layer, part) for part, some in parts.items() for each in some]
    names = pd.DataFrame(rows, columns=["layer", "part"])
    return replace(
        done, effects={kind: replace(each, named=names) for kind, each in done.effects.items()}
    )


def layers_table(done, parts, seed: int) -> pd.DataFrame:
    """layers.csv: one row a layer, part and ablation; p corrected within part and ablation."""
    frames = []
    for kind, every in done.effects.items():
        first = 0
        for some in parts.values():
            rows = slice(first, first + len(some))
            frame, direct = every.only(rows).frame(seed), done.direct[kind].only(rows)
            frame.insert(2, "ablation", kind)
            frames.append(frame.assign(direct_effect=direct.mean()))
            first = rows.stop
    estimate = ["effect", "ci_low", "ci_high", "p_corrected", "direct_effect"]
    return pd.concat(frames, ignore_index=True)[["layer", "part", "ablation", *estimate]]


def groups_section(model, task, seed: int) -> Section:
    """The query heads of one key/value head, removed together."""
    done, n_layers = ablate(model, task, components.kv_heads(model)), model.config.n_layers
    maps = [
        Heatmap(kind, each.mean().reshape(n_layers, -1), "layer", "kv_head", unit="logits")
        for kind, each in done.effects.items()
    ]
    return Section(
        "Groups of heads",
        [Maps(maps), replace(ablations.every(done, "head_groups", seed=seed), note="")],
        intro=f"The {model.config.group} query heads that share a key/value head, together.",
    )
