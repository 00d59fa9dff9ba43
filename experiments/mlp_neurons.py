"""Which MLP neurons push the right answer, and what do they read and write?

Method  A neuron's direct effect is its activation at the last token times what its output vector adds to
        the logit difference, the final norm's scale held. The largest are chosen on one half of the
        prompts and measured on the other; neurons drawn at random are the control. What a neuron
        reads shows in the tokens at which it is most active, in the task's prompts and in passages of
        plain English; what it writes, in the tokens that its output vector raises and lowers.
Units   Logits of answer minus wrong, mean over the held-out prompts.
Source  Geva et al. 2022, Transformer Feed-Forward Layers Build Predictions, arXiv:2203.14680.
Limits  Direct effects only. A neuron that reads many things shows only its loudest.
"""

import numpy as np
import pandas as pd
import torch

from interp import sites, stats
from interp.lab import Neurons, Tokens, experiment, figures
from interp.methods import attribute, neurons
from interp.methods.asked import asked
from interp.methods.passages import passages
from interp.report import Chart, Check, Headline, Report, Section, Series, Table, Text, TokenStrip
from interp.tasks import prompt_tokens

CONTROLS = 200
LENGTH = 64


def _reason(model) -> str | None:
    return None if model.config.d_mlp else f"{model.name} has no MLPs"


@experiment(
    expects="The neurons that push most on one half of the prompts push the same way on the other half, "
    "with more than neurons drawn at random.",
    task="ioi",
    applies=_reason,
)
def mlp_neurons(
    model, task, *, seed: int = 0, top: Neurons = 10, tokens: Tokens = 6, text: str | None = None
) -> Report:
    prompts = asked(model, task)
    run = prompts.run(model, keep=neurons.kept(model))
    found = neurons.effects(model, run, prompts)
    effect = found.effect.flatten(0, 1).double().cpu().numpy()
    here, there = _halves(task)
    chosen = np.argsort(-np.abs(effect[:, here].mean(-1)), kind="stable")[:top]
    rest = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(len(effect)), chosen))
    control = effect[rest[:CONTROLS]][:, there].mean(-1)
    table = _table(model, found, effect, chosen, here, there, task, seed)
    standing = stats.against_controls(table.contribution.to_numpy(), control)
    agree = stats.halves(effect, here, top) if here is not there else None
    signed = np.sign(effect[chosen][:, here].mean(-1))[:, None] * effect[chosen]
    together = stats.mean(signed[:, there].sum(0), task.clusters[there], seed=seed)
    verdict = "inconclusive"
    if together.high < 0:
        verdict = "not supported"
    elif together.low > 0:
        verdict = "supported" if np.median(standing.share) >= 0.95 else "not supported"
    pairs = [(int(row.layer), int(row.neuron)) for row in table.itertuples()]
    first = table.iloc[0]
    mlps = effect.sum(0)
    return Report(
        answer=f"On {task.n} {task.name} prompts the {len(chosen)} neurons of {model.name} chosen on "
        f"one half push, each in its own direction, {together.value:.2f} logits together on the other; the "
        f"largest is L{int(first.layer)}N{int(first.neuron)} ({first.contribution:+.2f}). All MLPs together "
        f"add {mlps.mean():+.2f}.",
        verdict=verdict,
        headlines=[
            figures.headline(
                f"{len(chosen)} neurons, held-out half",
                together,
                "logits",
                note="signs as in the other half",
            ),
            Headline(
                "keep their sign", f"{agree.same_sign:.0%}" if agree else "–", note="held-out half"
            ),
            Headline(
                "median share of random neurons below",
                float(np.median(standing.share)),
                note=f"of {standing.n} drawn at random",
            ),
        ],
        sections=[
            _effects(table, effect, model, task),
            _writes(model, pairs, tokens),
            *_reads(model, task, pairs, tokens, passages(text)),
        ],
        controls=[
            Text(
                f"Of {standing.n} neurons drawn at random the largest mean effect on the same prompts is "
                f"{standing.largest:.4f}, the median {standing.median:.5f}."
            )
        ],
        checks=[_adds_up(model, run, prompts, found)],
    )


def _halves(task) -> tuple[np.ndarray, np.ndarray]:
    here = task.where(half="discovery")
    if here.all() or not here.any():
        whole = np.ones(task.n, dtype=bool)
        return whole, whole
    return here, ~here


def _adds_up(model, run, prompts, found) -> Check:
    """All neurons against the MLPs' outputs read along the same direction."""
    whole = prompts.run(model, keep=attribute.wanted(model))
    mlps = attribute.attribute(model, whole, prompts).of("mlp").sum(0)
    error = float((found.effect.sum((0, 1)) - mlps).abs().max())
    return Check("all neurons add up to the MLPs, largest difference", error, 1e-4)


def _table(model, found, effect, chosen, here, there, task, seed: int) -> pd.DataFrame:
    layer, neuron = np.divmod(chosen, model.config.d_mlp)
    estimate = stats.table(effect[chosen][:, there], task.clusters[there], seed=seed)
    activation = found.activation.flatten(0, 1).double().cpu().numpy()[chosen][:, there]
    frame = pd.DataFrame(
        {"layer": layer, "neuron": neuron, "discovery": effect[chosen][:, here].mean(-1)}
    )
    frame = frame.join(estimate.rename(columns={"effect": "contribution"}))
    return frame.assign(activation=activation.mean(-1))


def _effects(table, effect, model, task) -> Section:
    by_layer = effect.reshape(model.config.n_layers, -1, task.n)
    sums = by_layer.sum(1).mean(-1)
    pushes = np.where(by_layer.mean(-1) > 0, by_layer.mean(-1), 0).sum(-1)
    depth = [f"L{layer}" for layer in range(model.config.n_layers)]
    return Section(
        "Activation × direct effect",
        [
            Table(
                "neurons",
                table,
                title="Chosen on one half, measured on the other",
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


def _writes(model, pairs, tokens: int) -> Section:
    rows = []
    for layer, neuron in pairs:
        raised, lowered = neurons.extremes(neurons.promoted(model, (layer, neuron)), tokens)
        rows.append([layer, neuron, _words(model, raised), _words(model, lowered)])
    columns = ["layer", "neuron", "raised when active", "lowered when active"]
    return Section(
        "What they write",
        [Table("writes", pd.DataFrame(rows, columns=columns), first_rows=len(rows))],
        intro="A neuron with a negative activation writes the opposite.",
    )


def _reads(model, task, pairs, tokens: int, found) -> list[Section]:
    natural = [prompt_tokens(model, text)[0, :LENGTH].tolist() for text in found]
    texts = {"task": [each.clean_tokens for each in task.kept], "passages": natural}
    rows, strips = [], []
    for name, rows_of in texts.items():
        for pair, best in zip(pairs, neurons.peaks(model, rows_of, pairs, tokens), strict=True):
            for rank, peak in enumerate(best):
                before = rows_of[peak.example][max(1, peak.position - 6) : peak.position + 1]
                words = model.to_str_tokens(torch.tensor(before))
                rows.append([*pair, name, rank + 1, words[-1], peak.activation, "".join(words)])
                if rank == 0 and pair == pairs[0]:
                    strips.append(_strip(model, rows_of[peak.example], pair, name))
    columns = ["layer", "neuron", "text", "rank", "token", "activation", "before it"]
    return [
        Section(
            "What they read",
            [*strips, Table("reads", pd.DataFrame(rows, columns=columns), first_rows=12)],
            intro="The tokens at which each is most active, whatever the sign; the first position is "
            "left out, since many neurons of sinks are loud there whatever the text.",
        )
    ]


def _strip(model, ids, pair, name: str) -> TokenStrip:
    site = sites.mlp_post(pair[0])
    active = model.run([list(ids)], keep=[site], logits_at=-1).cache[site][0, :, pair[1]]
    active = active.double().cpu().numpy()
    active[0] = np.nan
    title = f"L{pair[0]}N{pair[1]} on the text of its peak ({name})"
    return TokenStrip(
        model.to_str_tokens(torch.tensor(list(ids))), active, title=title, unit="activation"
    )
