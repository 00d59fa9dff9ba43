"""What norms divide by, what they leave out, and how direct effects are with the scale frozen and anew."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp import stats
from interp.components import Component
from interp.methods.attribute import Attribution
from interp.methods.norms import mean_share
from interp.methods.norms import scales as scales_at
from interp.report import Chart, Maps, Series, Table
from interp.sites import Site
from interp.stats import Estimate
from interp.tasks import Task
from interp.transformer import Run, Transformer
from interp.views import estimates
from interp.views.pictures import array, maps

NORMS = {"ln1_scale": "before attention", "ln2_scale": "before the MLP", "final_scale": "final"}
_PLACES = ("first position", "last token", "between")
_LARGEST = 20


def scales(
    model: Transformer, run: Run, task: Task, norms: Sequence[Site], seed: int
) -> list[Chart | Maps | Table]:
    """By layer at the first position, at the last token and between; and position by position for the norms
    before attention, on the first prompt."""
    at = {site: scales_at(run, site) for site in norms}
    found: dict[tuple[str, int | None, str], Estimate] = {
        (name, site.layer, place): stats.mean(array(at[site][place]), task.clusters, seed=seed)
        for kind, name in NORMS.items()
        for place in _PLACES
        for site in norms
        if site.kind == kind and place in at[site]
    }
    first = [site for site in norms if site.kind == "ln1_scale"]
    layers = [site.layer for site in first]
    series = []
    for place in dict.fromkeys(place for *_, place in found):
        values = [float(found[NORMS["ln1_scale"], layer, place].value) for layer in layers]
        series.append(Series(place, layers, np.log10(values)))
    one = run.real[0].cpu()
    rows = np.log10([array(run.cache[site][0, :, 0])[one] for site in first])
    columns = model.to_str_tokens(run.tokens[0].cpu()[one])
    return [
        Chart("Scale before attention, mean over prompts", "line", series, "layer", "log₁₀ scale"),
        maps(
            {"Before attention, log₁₀, first prompt": rows},
            ("layer", "pos"),
            columns=columns,
            scale="sequential",
        ),
        Table("scales", estimates.frame(found, ("norm", "layer", "place"), "scale")),
    ]


def means(model: Transformer, run: Run, streams: Sequence[Site]) -> Chart:
    """The share of the residual stream's squared length that lies along its mean, layer by layer."""
    shares = [array(mean_share(run.cache[site])[run.real]).mean() for site in streams]
    does = (
        "LayerNorm subtracts the mean of the residual stream."
        if model.config.norm == "layernorm"
        else "RMSNorm leaves the mean of the residual stream in; this is what centring would remove."
    )
    series = [Series("share", [site.layer for site in streams], shares)]
    return Chart("Share of ‖x‖² along the mean", "line", series, "layer", "share", note=does)


def frozen_and_anew(
    heads: Sequence[Component],
    frozen: Float[np.ndarray, "head batch"],
    anew: Float[np.ndarray, "head batch"],
    task: Task,
    seed: int,
) -> list[Chart | Table]:
    """Every head's direct effect in both ways, and the largest with the difference's interval."""
    one, other = frozen.mean(-1), anew.mean(-1)
    rows = np.argsort(-np.abs(one))[:_LARGEST]
    difference = stats.mean((anew - frozen)[rows], task.clusters, seed=seed)
    frame = pd.DataFrame([heads[row].columns() for row in rows]).assign(
        frozen=one[rows],
        anew=other[rows],
        difference=difference.value,
        ci_low=difference.low,
        ci_high=difference.high,
    )
    rank = stats.rank_correlation(one, other)
    return [
        Chart(
            "Direct effect of every head",
            "scatter",
            [Series("heads", one, other)],
            "scale frozen",
            "scale computed anew",
            note=f"Slope {stats.slope(one, other):.3f}, rank correlation {rank:.3f}.",
        ),
        Table("anew", frame, title="The largest heads", first_rows=10),
    ]


def attributed(found: Mapping[str, Attribution]) -> Table:
    """How far sums are off and how heads rank with a part of the norm left out, against nothing left out."""
    heads = {name: array(each.of("head").mean(-1)) for name, each in found.items()}
    ranks = {
        name: 1.0 if name == "nothing" else stats.rank_correlation(heads["nothing"], each).value
        for name, each in heads.items()
    }
    rows = [[name, each.error, float(ranks[name])] for name, each in found.items()]
    frame = pd.DataFrame(rows, columns=["left out", "largest_error", "rank"])
    return Table("attribution", frame, title="Direct effects with one thing left out")


def all_frozen(differences: Mapping[str, np.ndarray], task: Task, seed: int) -> Table:
    """The corrupted prompts with their own scales and with those of the clean run."""
    found = {name: stats.mean(each, task.clusters, seed=seed) for name, each in differences.items()}
    return Table(
        "frozen",
        estimates.frame(found, ("run",), "logit_difference"),
        title="Corrupted prompts, scales their own or the clean ones",
    )


def ranks(frozen: Float[np.ndarray, "head batch"], anew: Float[np.ndarray, "head batch"]) -> str:
    """How the two ways of measuring heads' direct effects compare, as far as that can be said."""
    one, other = frozen.mean(-1), anew.mean(-1)
    rank = stats.rank_correlation(one, other)
    if np.isnan(float(rank.value)):
        return "There are too few heads to rank their direct effects with the scale frozen and anew"
    return (
        "Between the scale frozen and computed anew the rank correlation of heads' direct effects is "
        f"{rank:.2f}, their slope {stats.slope(one, other):.2f}"
    )
