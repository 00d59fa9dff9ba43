"""What does normalization do to the stream, and may its weights be folded away?

Method  The scale that each norm divides by, by layer and position; the share of the stream's squared
        length that lies along its mean, which LayerNorm's centring removes and RMSNorm leaves in.
        Every norm's weight and bias is moved into the weights that read it, and the log-probabilities
        are compared. Attribution is done again without the norm's scale, weight or centring. Each
        head's direct effect is compared with what removing its write does when the scale is computed
        anew. At last the corrupted prompts run with all scales frozen to the clean ones.
Units   Scales in the stream's own units; shares of ‖x‖²; logits of answer minus wrong.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
Limits  Freezing scales holds them all at once. Removing a write is a change at the last stream only: no
        later part reacts.
"""

import numpy as np
import pandas as pd
import torch

from interp import edits, sites, stats
from interp.errors import UsageError
from interp.methods import attribute
from interp.methods.norms import centred, folded, mean_share, scales
from interp.methods.rescaling import frozen_and_anew, without
from interp.report import (
    Chart,
    Check,
    Headline,
    Heatmap,
    Maps,
    NotRun,
    Report,
    Section,
    Series,
    Table,
    Text,
)
from interp.study import study
from interp.tasks.batches import whole
from interp.views import tolerance


def _reason(model) -> str | None:
    return f"{model.name} has no norms" if model.config.norm == "none" else None


@study(
    expects="Folding the norms' weights leaves every log-probability as it was, and parts add up to the "
    "logit difference only with the final norm's scale, weight and centring all taken in.",
    task="ioi",
    cost=7,
    applies=_reason,
)
def layernorm(model, task, *, seed: int = 0) -> Report:
    prompts = whole(task, model.device)
    places = [
        site for site in model.sites if site.kind in ("ln1_scale", "ln2_scale", "final_scale")
    ]
    streams = [sites.resid_pre(layer) for layer in range(model.config.n_layers)]
    run = prompts.run(model, keep={*attribute.wanted(model), *places, *streams})
    base = run.logits[:, -1].double().log_softmax(-1)
    changed = prompts.run(folded(model)).logits[:, -1].double().log_softmax(-1)
    folding = float((changed - base).abs().max())
    wide = tolerance.through(model, float(run.logits.abs().max()))
    checks = [
        Check("folding changes no log-probability, largest difference", folding, wide),
    ]
    not_run, refused = [], ""
    try:
        moved = prompts.run(centred(model)).logits[:, -1].double().log_softmax(-1)
        difference = float((moved - base).abs().max())
        checks.append(
            Check(
                "centring what is written changes no log-probability",
                difference,
                wide,
            )
        )
    except UsageError as error:
        refused = str(error)
        not_run.append(NotRun("centring what is written to the stream", refused))
    attribution, scale, n_terms = _attributions(model, run, prompts)
    missed = attribution.set_index("left out").largest_error
    closes = tolerance.rounding(model.dtype, scale, n_terms)
    checks.append(Check("attribution with all of the norm adds up", missed["nothing"], closes))
    controls, hidden = tolerance.parted(
        [
            tolerance.control(
                f"attribution without {name}, error", missed[name], closes, model.dtype
            )
            for name in missed.index.drop("nothing")
        ]
    )
    checks += controls
    not_run += hidden
    frozen, anew = frozen_and_anew(model, run, prompts)
    corrupted = _frozen_run(model, task, prompts, run, places, seed)
    share = mean_share(run.cache[attribute.stream_end(model)])[run.real]
    rank = stats.rank_correlation(frozen.mean(-1), anew.mean(-1))
    square = float((frozen.mean(-1) ** 2).sum())
    slope = float((frozen.mean(-1) * anew.mean(-1)).sum()) / square if square else float("nan")
    removes = "removes" if model.config.norm == "layernorm" else "would remove"
    holds = all(check.passed for check in checks)
    return Report(
        answer=f"Folding every norm's weight into its readers changes no log-probability of {model.name} "
        f"by more than {folding:.0e}. {_ranks(rank, slope)}; centring {removes} "
        f"{float(share.mean()):.1%} of the final stream's "
        "squared length.",
        verdict="supported" if holds else "not supported",
        headlines=[
            Headline("folding, largest change", folding, "nats"),
            Headline("direct effects, scale anew against frozen", slope, note="slope over heads"),
            Headline(
                "of ‖x‖² along the mean, final stream",
                float(share.mean()),
                note="over all positions",
            ),
        ],
        sections=[
            _scales(model, run, task, places, seed),
            _means(run, streams, model),
            Section(
                "What attribution needs of the norm",
                [Table("attribution", attribution, title="Direct effects with one thing left out")],
                intro="Error: how far the sum of all parts is from the logit difference; rank: of all heads' "
                "mean effects against those with nothing left out.",
            ),
            _anew(model, frozen, anew, rank, slope, task, seed),
            Section(
                "All scales frozen",
                [
                    Table(
                        "frozen",
                        corrupted,
                        title="Corrupted prompts, scales their own or the clean ones",
                    )
                ],
                intro="If norms only set the volume, freezing them changes little.",
            ),
            *([Section("Refused", [Text(refused)])] if refused else []),
        ],
        checks=checks,
        not_run=not_run,
    )


def _numbers(tensor) -> np.ndarray:
    return tensor.double().cpu().numpy()


def _attributions(model, run, prompts) -> tuple[pd.DataFrame, float, int]:
    """Sums and ranks of direct effects with the scale, the weight or the centring left out; how large
    the parts are together, and how many."""
    found = attribute.attribute(model, run, prompts)
    heads = _numbers(found.of("head").mean(-1))
    rows = [["nothing", found.error, 1.0]]
    parts = ["its scale", "its weight"]
    if model.config.norm == "layernorm":
        parts.append("its centring")
    for left_out in parts:
        other = without(model, run, prompts, left_out)
        rank = stats.rank_correlation(heads, _numbers(other.of("head").mean(-1)))
        rows.append([left_out, other.error, float(rank.value)])
    table = pd.DataFrame(rows, columns=["left out", "largest_error", "rank"])
    return table, found.scale, len(found.components)


def _frozen_run(model, task, prompts, run, places, seed: int) -> pd.DataFrame:
    own = prompts.run(model, corrupted=True)
    scales = [edits.freeze(site, run.cache) for site in places]
    held = prompts.run(model, edits=scales, corrupted=True)
    columns = torch.stack([prompts.answer, prompts.distractor], -1)
    differences = []
    for each in (run, own, held):
        answer, wrong = each.logits[:, -1].gather(-1, columns).unbind(-1)
        differences.append(_numbers(answer - wrong))
    clean, corrupted, frozen = differences
    estimate = stats.mean(
        np.stack([clean, corrupted, frozen, frozen - corrupted]), task.clusters, seed=seed
    )
    names = ["clean", "corrupted", "corrupted, scales of clean", "what freezing adds"]
    return pd.DataFrame(
        {
            "run": names,
            "logit_difference": estimate.value,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "n": estimate.n,
        }
    )


def _ranks(rank, slope: float) -> str:
    """How the two ways of measuring heads' direct effects compare, as far as that can be said."""
    if np.isnan(float(rank.value)):
        return "There are too few heads to rank their direct effects with the scale frozen and anew"
    return (
        "Between the scale frozen and computed anew the rank correlation of heads' direct effects is "
        f"{float(rank.value):.2f} [{float(rank.low):.2f}, {float(rank.high):.2f}], their slope {slope:.2f}"
    )


def _mean_of(values: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Each prompt's mean over these of its positions."""
    return np.where(which, values, 0).sum(-1) / which.sum(-1)


def _scales(model, run, task, places, seed: int) -> Section:
    """By layer, at the first position, at the last token and between; and position by position."""
    end = run.real.sum(-1) - 1
    rows = np.arange(len(end))
    series, table = [], []
    names = {"ln1_scale": "before attention", "ln2_scale": "before the MLP", "final_scale": "final"}
    for kind, name in names.items():
        values = [_numbers(scales(run, site)) for site in places if site.kind == kind]
        if not values:
            continue
        inner = run.real.clone()
        inner[:, 0] = False
        inner[rows, end] = False
        inner = inner.cpu().numpy()
        where = {
            "first position": np.stack([each[:, 0] for each in values]),
            "last token": np.stack([each[rows, end.cpu()] for each in values]),
        }
        if inner.any(-1).all():
            where["between"] = np.stack([_mean_of(each, inner) for each in values])
        for place, each in where.items():
            estimate = stats.mean(each, task.clusters, seed=seed)
            layers = [site.layer for site in places if site.kind == kind]
            table += [
                [name, layer, place, *each]
                for layer, *each in zip(
                    layers, estimate.value, estimate.low, estimate.high, strict=True
                )
            ]
            if kind == "ln1_scale":
                series.append(Series(place, layers, np.log10(estimate.value)))
    columns = ["norm", "layer", "place", "scale", "ci_low", "ci_high"]
    one = run.real[0]
    grid = np.stack(
        [
            np.log10(_numbers(scales(run, site)[0, one]))
            for site in places
            if site.kind == "ln1_scale"
        ]
    )
    labels = model.to_str_tokens(run.tokens[0, one])
    block = Heatmap(
        "Before attention, log₁₀, first prompt",
        grid,
        "layer",
        "pos",
        columns=labels,
        scale="sequential",
    )
    return Section(
        "What the norms divide by",
        [
            Chart(
                "Scale before attention, mean over prompts", "line", series, "layer", "log₁₀ scale"
            ),
            Maps([block]),
            Table("scales", pd.DataFrame(table, columns=columns)),
        ],
    )


def _means(run, streams, model) -> Section:
    layers = range(model.config.n_layers)
    shares = [_numbers(mean_share(run.cache[site])[run.real]).mean() for site in streams]
    does = (
        "LayerNorm subtracts the mean of the stream."
        if model.config.norm == "layernorm"
        else "RMSNorm leaves the mean of the stream in; this is what centring would remove."
    )
    series = [Series("share", layers, shares)]
    return Section(
        "The mean of the stream",
        [Chart("Share of ‖x‖² along the mean", "line", series, "layer", "share", note=does)],
    )


def _anew(model, frozen, anew, rank, slope: float, task, seed: int) -> Section:
    largest = np.argsort(-np.abs(frozen.mean(-1)))[:20]
    n_heads = model.config.n_heads
    difference = stats.mean((anew - frozen)[largest], task.clusters, seed=seed)
    frame = pd.DataFrame(
        {
            "layer": largest // n_heads,
            "head": largest % n_heads,
            "frozen": frozen[largest].mean(-1),
            "anew": anew[largest].mean(-1),
            "difference": difference.value,
            "ci_low": difference.low,
            "ci_high": difference.high,
        }
    )
    series = [Series("heads", frozen.mean(-1), anew.mean(-1))]
    return Section(
        "What freezing the scale leaves out",
        [
            Chart(
                "Direct effect of every head",
                "scatter",
                series,
                "scale frozen",
                "scale computed anew",
                note=f"Slope {slope:.3f}, rank correlation {float(rank.value):.3f} "
                f"[{float(rank.low):.3f}, {float(rank.high):.3f}].",
            ),
            Table("anew", frame, title="The largest heads", first_rows=10),
        ],
        intro="Anew: the logit difference with the head's write minus that without it, the norm's scale "
        "computed again from what is left.",
    )
