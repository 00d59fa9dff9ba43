"""Which MLP neurons push the right answer, and what do they read and write?

Method  A neuron's direct effect is its activation at the last token times what its output vector adds to
        the logit difference, the final norm's scale frozen. The largest are chosen on the discovery half
        of the screen, ranked on its other half among random neurons of the same layers, and confirmed on
        fresh prompts, beside the same neurons read along two random tokens and along the answers of
        unrelated prompts. What a neuron reads shows in the tokens at which it is most active, in the
        task's prompts and in passages of plain English; what it writes, in the tokens that its output
        vector raises and lowers.
Units   Logits of answer minus wrong, mean of templates' means.
Source  Geva et al. 2022, Transformer Feed-Forward Layers Build Predictions, arXiv:2203.14680.
Limits  Direct effects only. A neuron that reads many things shows only its loudest.
"""

from dataclasses import replace

import numpy as np

from interp.methods import attribute, neurons, readings
from interp.methods.neurons import natural_texts
from interp.report import Check, Headline, Section, Table
from interp.study import Neurons, Report, Tokens, study
from interp.tasks import prompt_tokens
from interp.tasks.batches import whole
from interp.views import effects, tests, tolerance
from interp.views import neurons as shown

LENGTH = 64


@study(
    expects="The neurons that push most on the discovery templates push the same way on held-out ones, more "
    "than random neurons of their layers and than along other directions of equal norm.",
    task="ioi",
    cost=25,
    applies=lambda model: None if model.config.d_mlp else f"{model.name} has no MLPs",
)
def mlp_neurons(
    model, task, *, seed: int = 0, top: Neurons = 10, tokens: Tokens = 6, text: str | None = None
) -> Report:
    prompts, wanted = whole(task, model.device), neurons.kept(model)
    run = prompts.run(model, keep=wanted)
    found = neurons.effects(model, run, prompts)
    effect = found.labelled(task)
    strongest = effect.select(top)

    def read(run, prompts):
        return neurons.effects(model, run, prompts).effect.flatten(0, 1)

    test = readings.confirm(model, strongest, wanted, read, seed)
    best, signs = strongest.components, strongest.signs[strongest.rows]
    kept = (np.sign(test.each.value) == signs).mean()
    active = found.labelled(task, "activation").only(strongest.rows).where(strongest.held_out)
    title = "The same neurons on the held-out half of the screen"
    table = effects.held_out(strongest, "neurons", title, seed)
    columns = {"discovery_effect": "discovery", "effect": "contribution"}
    frame = table.frame.rename(columns=columns).assign(activation=active.mean())

    passages = [prompt_tokens(model, each)[0, :LENGTH].tolist() for each in natural_texts(text)]
    texts = {"task": [each.clean_tokens for each in task.kept], "passages": passages}
    reads = neurons.reads(model, texts, best, tokens)
    writes = neurons.writes(model, best, tokens)
    return Report.of(
        test,
        f"On {test.fresh.task.n} held-out {task.name} prompts the {len(best)} neurons of {model.name} chosen "
        f"on the screen push {float(test.confirmation.chosen.value):.3f} logits each in the direction that "
        f"they had where they were chosen; {kept:.0%} keep their sign. The strongest is {test.labels[0]} "
        f"({test.first.effect:+.3f}). All MLPs together add "
        f"{effect.values.sum(0).mean():+.2f} on the screen.",
        [
            Section(
                "Activation × direct effect",
                [
                    tests.confirmed(test),
                    replace(table, frame=frame),
                    shown.pushes(effect, model.config.n_layers),
                ],
            ),
            Section(
                "What they write",
                [Table("writes", writes, first_rows=len(writes))],
                intro="A neuron with a negative activation writes the opposite.",
            ),
            Section(
                "What they read",
                [*shown.strips(model, texts, reads), Table("reads", reads, first_rows=12)],
                intro="The tokens at which each is most active, whatever the sign; the first position is "
                "left out, since many neurons of sinks are loud there whatever the text.",
            ),
        ],
        figures=[Headline("keep their sign", f"{kept:.0%}", note="on held-out prompts")],
        checks=[adds_up(model, prompts, found)],
    )


def adds_up(model, prompts, found) -> Check:
    """All neurons against the MLPs' outputs read along the same direction."""
    run = prompts.run(model, keep=attribute.wanted(model))
    mlps = attribute.attribute(model, run, prompts).of("mlp").sum(0)
    error = float((found.effect.sum((0, 1)) - mlps).abs().max())
    together = found.effect.abs().sum((0, 1))
    wide = tolerance.rounding(model.dtype, float(together.max()), found.effect[..., 0].numel())
    return Check("all neurons add up to the MLPs, largest difference", error, wide)
