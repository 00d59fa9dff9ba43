"""What did fine-tuning change inside the model?

Method  The model that --model names, beside the one that its training began with (--before), on the same
        prompts. Weights: how far each head, MLP and norm moved, as a share of its norm before. Direct
        effects: what each part adds to the logit difference along the stream, in each model with its
        own final norm and unembedding. Ablation: each head and MLP replaced by its value on the paired
        corrupted prompt, in each model by its own, and the change of the logit difference at END. Every
        difference is after minus before, prompt by prompt. The parts that changed most are chosen on the
        discovery half of the screen, ranked on its other half among random parts of the same layers, and
        confirmed on fresh prompts.
Units   Logits of answer minus wrong; weights in shares of their norm before; KL from the model before
        to the model after in nats a token. p inverts the interval, corrected (Benjamini–Hochberg) over
        all heads and MLPs.
Source  Wang et al. 2022, arXiv:2211.00593 (ablation and direct effects); Prakash et al. 2024,
        Fine-Tuning Enhances Existing Mechanisms, arXiv:2402.14811.
Limits  One training, whose chance choices are not repeated here: intervals are over prompts alone. A
        part can change what it does because its input changed; the distance of its weights tells apart.
"""

from dataclasses import replace

import pandas as pd

from interp import components, stats
from interp.methods import two_models
from interp.methods.ablate import ablate
from interp.methods.two_models import distances
from interp.report import Section
from interp.study import Components, Report, study
from interp.views import chosen, effects, estimates, tests
from interp.views import two_models as shown

WORSE = "Below zero: the model does worse without the head."
CHANGE = "Change of the effect of ablation, prompt by prompt"
LENGTH = "The length of the change of each part's weights, as a share of their length before."


@study(
    expects="The parts whose ablation effect changed most on the discovery templates changed on "
    "held-out ones too, more than random parts of their layers.",
    task="ioi",
    cost=200,
    sweeps=True,
    default=False,
    gated=False,
)
def finetune_diff(model, task, *, before: str = "", top: Components = 8, seed: int = 0) -> Report:
    models = {"before": two_models.model_before(model, before), "after": model}
    everything = [*components.heads(model), *(components.mlps(model) if model.config.d_mlp else [])]
    names = pd.DataFrame({"part": map(str, everything), "layer": [it.layer for it in everything]})

    moved = distances(*models.values())
    done = {side: ablate(each, task, everything, ("resample",)) for side, each in models.items()}
    losses = {side: replace(each.effects["resample"], named=names) for side, each in done.items()}
    change = losses[shown.DIFFERENCE] = losses["after"] - losses["before"]
    strongest = change.select(top)
    again = [
        ablate(each, task.confirmation, strongest.components, ("resample",)).effects["resample"]
        for each in models.values()
    ]
    test = strongest.test(again[1] - again[0], {}, what="parts", seed=seed)

    attributed = two_models.attributed(models, task)
    direct = two_models.shared(attributed, task)
    direct[shown.DIFFERENCE] = direct["after"] - direct["before"]
    clean = {side: each.clean for side, each in done.items()}
    gain = stats.mean(clean["after"] - clean["before"], task.clusters, seed=seed)
    divergence = two_models.divergence(*models.values(), task)
    apart = stats.mean(divergence, task.clusters, seed=seed)

    return Report.of(
        test,
        f"From {models['before'].name} to {model.name} the weights of {shown.moved_most(moved)} moved "
        f"most. On {task.n} {task.name} prompts the logit difference went from "
        f"{clean['before'].mean():.2f} to {clean['after'].mean():.2f}. The part whose ablation "
        f"effect changed most, {test.labels[0]}, changed by {test.first.effect:+.2f} on "
        f"{test.fresh.task.n} held-out prompts. {tests.sentence(test, 'changed by')}",
        [
            Section("The two models", [shown.models(models, done, seed)]),
            Section("How far the weights moved", shown.weights(moved, model), intro=LENGTH),
            Section(
                "What each part adds directly",
                [
                    effects.maps(effects.of_heads(direct)),
                    shown.beside(direct, "attribution", "Every part"),
                ],
                intro="Direct effects on the logit difference, before, after, and after minus before.",
            ),
            Section(
                "What the model loses without each part",
                [
                    effects.maps(effects.of_heads(losses), note=WORSE),
                    *chosen.blocks(test, "changed_most", {"change": change}, CHANGE),
                    shown.beside(losses, "ablation", "Every head and MLP", seed),
                ],
            ),
        ],
        headlines=[
            estimates.headline("change of the logit difference", gain, "logits"),
            estimates.headline("KL from before to after", apart, "nats a token"),
        ],
        figures=shown.together(moved, change),
        checks=shown.checks(models, task, done, attributed, seed),
        files={"weights": shown.weights_frame(moved)},
        warnings=shown.unable(models, done, task),
    )
