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
from interp.report import Section
from interp.study import Count, Layers, Report, study
from interp.views import ablations, chosen, effects


@study(
    expects="The attention layers that matter most on the discovery templates matter on held-out ones, more "
    "than random sets of attention layers and than changes of equal norm in other directions.",
    task="ioi",
    cost=90,
    sweeps=True,
    default=False,
)
def layer_ablation(model, task, *, top: Layers = 5, draws: Count = 1, seed: int = 0) -> Report:
    attention = components.attention_layers(model)
    mlps = components.mlps(model) if model.config.d_mlp else []
    parts = [*attention, *components.layers(model), *mlps]
    names = pd.DataFrame([[each.layer, each.kind] for each in parts], columns=["layer", "part"])
    done = ablate(model, task, parts)
    named = {kind: replace(each, named=names) for kind, each in done.effects.items()}
    done = replace(done, effects=named)
    resample = named["resample"].only(slice(len(attention))).of_any_layer()
    strongest = resample.select(top)
    test = controls.confirm(model, strongest, draws=draws, seed=seed)
    every = ablations.every(done, "layers", "Every layer and part", within="part", seed=seed)
    groups = ablate(model, task, components.kv_heads(model))
    return Report.of(
        test,
        ablations.answer(model, test, done, f"layer {strongest.components[0].layer}"),
        [
            Section(
                "Every layer, removed in different ways",
                [
                    *(
                        effects.by_layer(some, "part", f"{kind} ablation")
                        for kind, some in every.frame.groupby("ablation", sort=False)
                    ),
                    every,
                    effects.agreement(done.effects),
                ],
                intro=f"Below zero: the model does worse without it. {ablations.mean_note(task)}",
            ),
            Section(
                "The strongest attention layers",
                chosen.blocks(test, "top_layers", {"resample": resample}),
            ),
            Section(
                "Groups of heads",
                [effects.maps(groups.effects), ablations.every(groups, "head_groups", seed=seed)],
                intro=f"The {model.config.group} query heads that share a key/value head, together.",
            ),
            Section("Order by order", [effects.by_variant(named, "layers_by_order", seed=seed)]),
        ],
        headlines=[ablations.clean(done)],
        checks=ablations.checks(model, task, done, seed),
        not_run=ablations.not_run(task),
    )
