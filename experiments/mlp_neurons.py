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

import numpy as np
import pandas as pd
import torch

from interp import components, sites, stats
from interp.effects import Effects
from interp.methods import attribute, neurons, readings
from interp.methods.texts import natural_texts
from interp.report import Chart, Check, Headline, Section, Series, Table, TokenStrip
from interp.study import Neurons, Report, Tokens, study
from interp.tasks import prompt_tokens
from interp.tasks.batches import whole
from interp.views import tests, tolerance

LENGTH = 64


def _reason(model) -> str | None:
    return None if model.config.d_mlp else f"{model.name} has no MLPs"


@study(
    expects="The neurons that push most on the discovery templates push the same way on held-out ones, more "
    "than random neurons of their layers and than along other directions of equal norm.",
    task="ioi",
    cost=25,
    applies=_reason,
)
def mlp_neurons(
    model, task, *, seed: int = 0, top: Neurons = 10, tokens: Tokens = 6, text: str | None = None
) -> Report:
    every, prompts = components.neurons(model), whole(task, model.device)
    run = prompts.run(model, keep=neurons.kept(model))
    found = neurons.effects(model, run, prompts)
    effect = Effects(found.effect.flatten(0, 1).double().cpu().numpy(), every, task)
    strongest = effect.select(top)

    def read(run, given):
        return neurons.effects(model, run, given).effect.flatten(0, 1)[strongest.rows]

    fresh = readings.on_fresh_prompts(
        model, task.confirmation, strongest.components, neurons.kept(model), read, seed
    )
    test = strongest.test(fresh.effects, fresh.controls, what="neurons", seed=seed)
    table = _table(found, strongest, seed)
    best, signs = strongest.components, strongest.signs[strongest.rows]
    kept = (np.sign(test.each.value) == signs).mean()
    return Report.of(
        test,
        f"On {test.fresh.task.n} held-out {task.name} prompts the {len(best)} neurons of {model.name} chosen "
        f"on the screen push {float(test.confirmation.chosen.value):.3f} logits each in the direction that "
        f"they had where they were chosen; {kept:.0%} keep their sign. The strongest is {test.labels[0]} "
        f"({test.first.effect:+.3f}). All MLPs together add "
        f"{effect.values.sum(0).mean():+.2f} on the screen.",
        [
            _effects(table, test, effect.values, model, task),
            _writes(model, best, tokens),
            *_reads(model, task, best, tokens, natural_texts(text)),
        ],
        figures=[Headline("keep their sign", f"{kept:.0%}", note="on held-out prompts")],
        checks=[_adds_up(model, run, prompts, found)],
    )


def _adds_up(model, run, prompts, found) -> Check:
    """All neurons against the MLPs' outputs read along the same direction."""
    kept = prompts.run(model, keep=attribute.wanted(model))
    mlps = attribute.attribute(model, kept, prompts).of("mlp").sum(0)
    error = float((found.effect.sum((0, 1)) - mlps).abs().max())
    together = found.effect.abs().sum((0, 1))
    wide = tolerance.rounding(model.dtype, float(together.max()), found.effect[..., 0].numel())
    return Check("all neurons add up to the MLPs, largest difference", error, wide)


def _table(found, strongest, seed: int) -> pd.DataFrame:
    """The chosen neurons on the held-out half of the screen."""
    chosen = strongest.screen.only(strongest.rows)
    there = chosen.where(strongest.held_out)
    estimate = stats.table(there.values, there.task.clusters, seed=seed)
    activation = found.activation.flatten(0, 1)[strongest.rows].double().cpu().numpy()
    frame = strongest.names.assign(discovery=chosen.where(strongest.discovery).mean())
    frame = frame.join(estimate.rename(columns={"effect": "contribution"}))
    return frame.assign(activation=activation[:, strongest.held_out].mean(-1))


def _effects(table, test, effect, model, task) -> Section:
    by_layer = effect.reshape(model.config.n_layers, -1, task.n)
    sums = by_layer.sum(1).mean(-1)
    pushes = np.where(by_layer.mean(-1) > 0, by_layer.mean(-1), 0).sum(-1)
    depth = [f"L{layer}" for layer in range(model.config.n_layers)]
    return Section(
        "Activation × direct effect",
        [
            tests.confirmed(test),
            Table(
                "neurons",
                table,
                title="The same neurons on the held-out half of the screen",
                first_rows=len(table),
            ),
            Chart(
                "Neurons of each layer, mean over prompts",
                "stacked",
                [
                    Series("those that push up", depth, pushes),
                    Series("those that push down", depth, sums - pushes),
                ],
                "layer",
                "logits",
            ),
        ],
    )


def _words(model, ids) -> str:
    return " ".join(repr(model.to_single_str_token(token)) for token in ids.tolist())


def _writes(model, best, tokens: int) -> Section:
    rows = []
    for neuron in best:
        raised, lowered = neurons.extremes(neurons.promoted(model, neuron), tokens)
        rows.append([neuron.layer, neuron.index, _words(model, raised), _words(model, lowered)])
    columns = ["layer", "neuron", "raised when active", "lowered when active"]
    return Section(
        "What they write",
        [Table("writes", pd.DataFrame(rows, columns=columns), first_rows=len(rows))],
        intro="A neuron with a negative activation writes the opposite.",
    )


def _reads(model, task, best, tokens: int, found) -> list[Section]:
    natural = [prompt_tokens(model, text)[0, :LENGTH].tolist() for text in found]
    texts = {"task": [each.clean_tokens for each in task.kept], "passages": natural}
    rows, strips = [], []
    for name, rows_of in texts.items():
        loudest = neurons.peaks(model, rows_of, best, tokens)
        for neuron, places in zip(best, loudest, strict=True):
            for rank, peak in enumerate(places):
                before = rows_of[peak.example][max(1, peak.position - 6) : peak.position + 1]
                words = model.to_str_tokens(torch.tensor(before))
                told = [words[-1], peak.activation, "".join(words)]
                rows.append([neuron.layer, neuron.index, name, rank + 1, *told])
                if rank == 0 and neuron == best[0]:
                    strips.append(_strip(model, rows_of[peak.example], neuron, name))
    columns = ["layer", "neuron", "text", "rank", "token", "activation", "before it"]
    return [
        Section(
            "What they read",
            [*strips, Table("reads", pd.DataFrame(rows, columns=columns), first_rows=12)],
            intro="The tokens at which each is most active, whatever the sign; the first position is "
            "left out, since many neurons of sinks are loud there whatever the text.",
        )
    ]


def _strip(model, ids, neuron, name: str) -> TokenStrip:
    site = sites.mlp_post(neuron.layer)
    active = model.run([list(ids)], keep=[site], logits_at=-1).cache[site][0, :, neuron.index]
    active = active.double().cpu().numpy()
    active[0] = np.nan
    title = f"{neuron} on the text of its peak ({name})"
    return TokenStrip(
        model.to_str_tokens(torch.tensor(list(ids))), active, title=title, unit="activation"
    )
