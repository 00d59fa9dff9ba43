"""Which heads and MLPs push the right answer's logit above the wrong one's, and from where?

Method  The residual stream before the final norm is the sum of what the embedding, every head, every
        MLP and the biases wrote. With the norm's scale frozen at its value, the logit difference at the
        last token reads that sum along one direction, and each part's dot product with it is its direct
        effect. A head's part splits further by the position that it attends to, and its attention score
        by the parts written before it. The strongest heads are chosen on the discovery half of the
        screen, ranked on its other half among random heads of the same layers, and confirmed on fresh
        prompts, beside the same heads read along two random tokens and along the answers of unrelated
        prompts. p inverts the interval, corrected for the number of components (Benjamini–Hochberg).
Units   Logits of answer minus wrong, mean of templates' means; scores as they enter the softmax.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits; Wang et al. 2022,
        arXiv:2211.00593.
Limits  Direct effects only: a head that works through later layers shows nothing here, and a large
        direct effect can be undone or copied elsewhere. Holding the norm's scale leaves out that
        removing a part would rescale all others.
"""

import numpy as np

from interp import stats
from interp.methods import attribute, neurons, readings
from interp.methods.attention import preferred
from interp.report import Check, Section, Table
from interp.study import Heads, Report, study
from interp.tasks.batches import whole
from interp.views import attributions, effects, estimates, tests, tolerance


@study(
    expects="The parts add up to the logit difference, and the heads that contribute most on the discovery "
    "templates contribute on held-out ones, more than random heads of their layers and than along other "
    "directions of equal norm.",
    task="ioi",
    also="induction",
    cost=12,
)
def logit_attribution(model, task, *, seed: int = 0, top: Heads = 10, scores: Heads = 3) -> Report:
    prompts, wanted = whole(task, model.device), attribute.wanted(model)
    run = prompts.run(model, keep={*wanted, *attribute.source_sites(model)})
    found = attribute.attribute(model, run, prompts)
    parts, heads = found.effects(task), found.heads(task)

    def read(run, prompts):
        return attribute.attribute(model, run, prompts).of("head")

    test = readings.confirm(model, heads.select(top), wanted, read, seed)
    best, frame = heads.largest(top).components, attributions.components(parts, seed)
    values = heads.largest(3).interval(seed).value
    named = ", ".join(f"{head} {value:+.2f}" for head, value in zip(best, values, strict=False))
    total = found.logit_difference.double().cpu().numpy()
    total = stats.mean(total, task.clusters, task.items, seed=seed)
    wide = tolerance.rounding(model.dtype, found.scale, len(found.components))
    return Report.of(
        test,
        f"On {task.n} {task.name} prompts {model.name} prefers the answer by {total.value:.2f} logits. "
        f"Largest direct effects: {named}. {test.labels[0]}, chosen on the discovery half, "
        f"contributes {test.first.effect:+.2f} on {test.fresh.task.n} held-out prompts. "
        f"{tests.sentence(test, 'contribute')}",
        [
            Section(
                "Who writes the answer",
                [
                    effects.maps(effects.with_variants(heads)),
                    attributions.flow(parts, model.config.n_layers),
                    attributions.largest(frame),
                    tests.confirmed(test),
                    tests.per_prompt(test, "Direct effects of the chosen heads, prompt by prompt"),
                    *attributions.by_order(heads, seed),
                ],
            ),
            Section(
                "Where they bring it from",
                attributions.sources(attribute.by_place(model, run, prompts, best, task), seed),
                intro="A head's z is a sum over the positions that it attends to from the last token, so its "
                "direct effect is too.",
            ),
            Section(
                "What makes them attend there",
                attributions.score_parts(preferred(model, task, best[:scores]), task, seed),
                intro="The score of that position above the mean score of all others, decomposed over what "
                "was written before at END (query side) and at the positions attended to (key side); the "
                "eight largest parts of either.",
            ),
            *(largest_neurons(model, run, prompts, task, top, seed) if model.config.d_mlp else []),
        ],
        headlines=[estimates.headline("logit difference", total, "logits")],
        checks=[Check("the parts add up to the logit difference, worst prompt", found.error, wide)],
        files={
            "components": frame[["component", "layer", "head", "contribution", "ci_low", "ci_high"]]
        },
    )


def largest_neurons(model, run, prompts, task, top: int, seed: int) -> list[Section]:
    """The neurons with the largest direct effects."""
    every = neurons.effects(model, run, prompts).labelled(task)
    largest = every.only(np.argsort(-np.abs(every.mean()))[:top])
    frame = effects.intervals(largest, seed).rename(columns={"effect": "contribution"})
    note = (
        "Chosen among all neurons on the same prompts, so their size flatters them; the study "
        "mlp_neurons chooses on one half and measures on fresh prompts."
    )
    return [Section("The largest neurons", [Table("neurons", frame, note=note)])]
