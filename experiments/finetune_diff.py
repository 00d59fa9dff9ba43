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

import numpy as np
import pandas as pd
import torch

import interp
from interp import components, stats
from interp.effects import Effects
from interp.errors import UsageError
from interp.methods import attribute
from interp.methods.ablate import ablate
from interp.methods.weight_distance import distances
from interp.report import Chart, Check, Headline, Maps, Section, Series, Table
from interp.study import Components, Report, study
from interp.tasks.batches import whole
from interp.tasks.validity import LEAST_ACCURACY
from interp.views import ablations, effects, figures, tests, tolerance

SIDES = ("before", "after")


@study(
    expects="The parts whose ablation effect changed most on the discovery templates changed on "
    "held-out ones "
    "too, more than random parts of their layers.",
    task="ioi",
    cost=200,
    sweeps=True,
    default=False,
    gated=False,
)
def finetune_diff(model, task, *, before: str = "", top: Components = 8, seed: int = 0) -> Report:
    models = dict(zip(SIDES, (model_before(model, before), model), strict=True))
    everything = [*components.heads(model), *(components.mlps(model) if model.config.d_mlp else [])]
    n_heads = model.config.n_layers * model.config.n_heads
    names = pd.DataFrame({"part": map(str, everything), "layer": [it.layer for it in everything]})

    moved = distances(*models.values())
    done = {side: ablate(each, task, everything, ("resample",)) for side, each in models.items()}
    losses = {side: replace(each.effects["resample"], named=names) for side, each in done.items()}
    change = losses["after − before"] = losses["after"] - losses["before"]
    strongest = change.select(top)
    again = [
        ablate(each, task.confirmation, strongest.components, ("resample",)).effects["resample"]
        for each in models.values()
    ]
    test = strongest.test(again[1] - again[0], {}, what="parts", seed=seed)

    # In the order of `everything`.
    distance = np.array([moved[each] for each in everything])
    direct, errors = attributions(models, task)
    of_heads = np.flatnonzero(direct["after"].names["component"] == "head")
    logits = done["after"].clean - done["before"].clean
    gain = stats.mean(logits, task.clusters, seed=seed)
    apart = stats.mean(divergence(models, task), task.clusters, seed=seed)
    report = Report.of(
        test,
        f"From {models['before'].name} to {model.name} the weights of {moved_most(moved)} moved "
        f"most. On {task.n} {task.name} prompts the logit difference went from "
        f"{done['before'].clean.mean():.2f} to {done['after'].clean.mean():.2f}. The part whose ablation "
        f"effect changed most, {test.labels[0]}, changed by {test.first.effect:+.2f} on "
        f"{test.fresh.task.n} held-out prompts. {tests.sentence(test, 'changed by')}",
        [
            Section("The two models", [compared(models, done, task, seed)]),
            weights(moved, model.config.n_layers),
            Section(
                "What each part adds directly",
                [
                    effects.maps({side: each.only(of_heads) for side, each in direct.items()}),
                    Table(
                        "attribution",
                        paired(direct),
                        title="Every part",
                        note=effects.p_note(task, len(direct["after"])),
                    ),
                ],
                intro="Direct effects on the logit difference, before, after, and after minus before.",
            ),
            Section(
                "What the model loses without each part",
                [
                    effects.maps(
                        {side: each.only(slice(n_heads)) for side, each in losses.items()},
                        note="Below zero: the model does worse without the head.",
                    ),
                    tests.confirmed(test),
                    tests.per_prompt(test, "Change of the effect of ablation, prompt by prompt"),
                    effects.held_out(
                        strongest,
                        "changed_most",
                        "The same parts on the held-out half of the screen",
                        seed,
                    ),
                    Table(
                        "ablation",
                        paired(losses, seed),
                        title="Every head and MLP",
                        note=effects.p_note(task, len(everything)),
                    ),
                    effects.halves({"change": change}, strongest),
                ],
            ),
        ],
        headlines=[
            figures.headline("change of the logit difference", gain, "logits"),
            figures.headline("KL from before to after", apart, "nats a token"),
        ],
        figures=together(distance, change),
        checks=[
            *(
                Check(f"{check.name}, {side}", check.value, check.tolerance)
                for side, each in models.items()
                for check in ablations.checks(each, task, done[side], seed)[:1]
            ),
            effects.splits(task),
            *(
                Check(f"direct effects add up to the logit difference, {side}", *error)
                for side, error in errors.items()
            ),
        ],
        files={"weights": weights_table(moved)},
    )
    return replace(report, warnings=unable(models, done, task))


def model_before(model, before: str):
    """The model that fine-tuning began with.

    Raises  UsageError if it is not named, or is no beginning of this one.
    """
    if not before:
        raise UsageError(
            f"say what {model.name} was before: --before NAME"
            + "".join(f" ({note})" for note in model.origin.notes[:1])
        )
    found = interp.load(before, model.dtype, model.device)
    if found.tokenizer.get_vocab() != model.tokenizer.get_vocab():
        raise UsageError(f"{before} and {model.name} have different tokenizers")
    return found


def together(distance, change) -> list[Headline]:
    """Whether the parts whose weights moved most are those whose effects changed most; nothing where
    all moved alike."""
    rank = stats.rank_correlation(distance, np.abs(change.mean()))
    if np.isnan(rank.value):
        return []
    label = "weights moved and effects changed, rank correlation"
    low, high = (None, None) if np.isnan(rank.low) else (float(rank.low), float(rank.high))
    note = "n counts heads and MLPs"
    return [Headline(label, float(rank.value), low=low, high=high, n=len(distance), note=note)]


def compared(models, done, task, seed: int) -> Table:
    """Both models and how they do on the task."""
    rows = []
    for side, each in models.items():
        found = stats.mean(done[side].clean, task.clusters, seed=seed)
        rows.append(
            {
                "model": side,
                "name": each.name,
                "logit_difference": float(found.value),
                "ci_low": float(found.low),
                "ci_high": float(found.high),
                "share_right": float((done[side].clean > 0).mean()),
                "n": task.n,
                "weights_sha256": each.origin.weights_sha256,
            }
        )
    return Table("models", pd.DataFrame(rows), note=f"Task: {task.name}.")


def unable(models, done, task) -> list[str]:
    """A warning for each model that prefers the answer on too few prompts to be asked why it does."""
    right = {side: float((done[side].clean > 0).mean()) for side in models}
    return [
        f"{models[side].name} prefers the answer on {share:.0%} of the {task.name} prompts, where "
        f"{LEAST_ACCURACY:.0%} are asked of a model that can do a task: effects say little of how."
        for side, share in right.items()
        if share < LEAST_ACCURACY
    ]


def weights_table(moved) -> pd.DataFrame:
    rows = [[each.kind, each.layer, each.index, distance] for each, distance in moved.items()]
    return pd.DataFrame(rows, columns=["part", "layer", "head", "distance"])


def weights(moved, n_layers: int) -> Section:
    of_heads = np.array([distance for each, distance in moved.items() if each.kind == "head"])
    layered = {
        kind: [(each.layer, distance) for each, distance in moved.items() if each.kind == kind]
        for kind in ("mlp", "norms and output bias")
    }
    series = [
        Series(kind, *map(list, zip(*rows, strict=True))) for kind, rows in layered.items() if rows
    ]
    rest = [
        {"part": each.kind, "distance": distance}
        for each, distance in moved.items()
        if each.layer is None
    ]
    return Section(
        "How far the weights moved",
        [
            Maps([effects.head_map("heads", of_heads, n_layers, "share of norm")]),
            *(
                [Chart("By layer", "line", series, "layer", "share of norm before")]
                if series
                else []
            ),
            Table("weights_outside_blocks", pd.DataFrame(rest), title="Outside the blocks"),
        ],
        intro="The length of the change of each part's weights, as a share of their length before.",
    )


def attributions(models, task):
    """Direct effects of all parts that both models have, before, after and apart; and how far they are
    from adding up to each model's logit difference, beside how far rounding may be."""
    pooled, errors = {}, {}
    for side, each in models.items():
        prompts = whole(task, each.device)
        run = prompts.run(each, keep=attribute.wanted(each))
        found = attribute.attribute(each, run, prompts)
        wide = tolerance.rounding(each.dtype, found.scale, len(found.components))
        pooled[side], errors[side] = found.pooled(), (found.error, wide)
    keys = [key for key in pooled["after"] if key in pooled["before"]]
    names = pd.DataFrame(
        [(key.kind, key.layer, key.index) for key in keys], columns=["component", "layer", "head"]
    ).astype({"layer": "Int64", "head": "Int64"})
    direct = {
        side: Effects(np.stack([each[key] for key in keys]), keys, task, named=names)
        for side, each in pooled.items()
    }
    direct["after − before"] = direct["after"] - direct["before"]
    return direct, errors


def paired(sides, seed: int = 0) -> pd.DataFrame:
    """names, before, after, and their difference with interval and corrected p."""
    before, after, change = sides.values()
    found = change.frame(seed).rename(columns={"effect": "difference"})
    first = len(change.names.columns)
    found.insert(first, "before", before.mean())
    found.insert(first + 1, "after", after.mean())
    return found


@torch.no_grad()
def divergence(models, task):
    """For each prompt the KL divergence from the model before to the model after, mean over tokens."""
    found = []
    for prompt in task.kept:
        tokens = torch.tensor([prompt.clean_tokens], device=models["after"].device)
        old, new = (each.run(tokens).logits.double().log_softmax(-1) for each in models.values())
        found.append(float((old.exp() * (old - new)).sum(-1).mean()))
    return np.array(found)


def moved_most(moved) -> str:
    """The two parts of the blocks that moved furthest, in words."""
    inside = sorted((each for each in moved if each.layer is not None), key=lambda it: -moved[it])
    said = [
        str(each) if each.kind == "head" else f"layer {each.layer}'s {each.kind}"
        for each in inside[:2]
    ]
    return " and ".join(
        f"{name} ({moved[each]:.1%})" for name, each in zip(said, inside[:2], strict=True)
    )
