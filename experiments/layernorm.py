"""What does normalization do to the residual stream, and may its weights be folded away?

Method  The scale that each norm divides by, by layer and position; the share of the residual stream's squared
        length that lies along its mean, which LayerNorm's centring removes and RMSNorm leaves in.
        Every norm's weight and bias is moved into the weights that read it, and the log-probabilities
        are compared. Attribution is done again without the norm's scale, weight or centring. Each
        head's direct effect is compared with what removing its write does when the scale is computed
        anew. At last the corrupted prompts run with all scales frozen to the clean ones.
Units   Scales in the residual stream's own units; shares of ‖x‖²; logits of answer minus wrong.
Source  Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
Limits  Scales are frozen all at once. Removing a write is a change of the final residual stream only: no
        later part reacts.
"""

from interp import components, sites, stats
from interp.errors import UsageError
from interp.methods import attribute
from interp.methods.norms import centred, folded, mean_share
from interp.methods.rescaling import all_frozen, attributions, frozen_and_anew
from interp.report import Check, Headline, NotRun, Report, Section, Text
from interp.study import study
from interp.tasks.batches import whole
from interp.views import norms, rules, tolerance


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
    places = [site for site in model.sites if site.kind in norms.NORMS]
    streams = [sites.resid_pre(layer) for layer in range(model.config.n_layers)]
    run = prompts.run(model, keep={*attribute.wanted(model), *places, *streams})
    wide = tolerance.through(model, float(run.logits.abs().max()))
    folding = moved(prompts, run, folded(model))
    checks = [Check("folding changes no log-probability, largest difference", folding, wide)]
    not_run, refused = [], []
    try:
        centring = moved(prompts, run, centred(model))
        checks.append(Check("centring what is written changes no log-probability", centring, wide))
    except UsageError as error:
        not_run.append(NotRun("centring what is written to the stream", str(error)))
        refused.append(Section("Refused", [Text(str(error))]))
    found = attributions(model, run, prompts)
    ran, hidden = adding_up(found, model.dtype)
    checks, not_run = [*checks, *ran], [*not_run, *hidden]
    frozen, anew = frozen_and_anew(model, run, prompts)
    slope = stats.slope(frozen.mean(-1), anew.mean(-1))
    share = float(mean_share(run.cache[attribute.stream_end(model)])[run.real].mean())
    removes = "removes" if model.config.norm == "layernorm" else "would remove"
    return Report(
        answer=f"Folding every norm's weight into its readers changes no log-probability of {model.name} "
        f"by more than {folding:.0e}. {norms.ranks(frozen, anew)}; centring {removes} {share:.1%} of the "
        "final stream's squared length.",
        verdict=rules.identities(checks),
        headlines=[
            Headline("folding, largest change", folding, "nats"),
            Headline("direct effects, scale anew against frozen", slope, note="slope over heads"),
            Headline("of ‖x‖² along the mean, final stream", share, note="over all positions"),
        ],
        sections=[
            Section("What the norms divide by", norms.scales(model, run, task, places, seed)),
            Section("The mean of the residual stream", [norms.means(model, run, streams)]),
            Section(
                "What attribution needs of the norm",
                [norms.attributed(found)],
                intro="Error: how far the sum of all parts is from the logit difference; rank: of all heads' "
                "mean effects against those with nothing left out.",
            ),
            Section(
                "What freezing the scale leaves out",
                norms.frozen_and_anew(components.heads(model), frozen, anew, task, seed),
                intro="Anew: the logit difference with the head's write minus that without it, the norm's "
                "scale computed again from what is left.",
            ),
            Section(
                "All scales frozen",
                [norms.all_frozen(all_frozen(model, run, prompts), task, seed)],
                intro="If norms only set the volume, freezing them changes little.",
            ),
            *refused,
        ],
        checks=checks,
        not_run=not_run,
    )


def moved(prompts, run, changed) -> float:
    """The largest change of a log-probability of the next token in a model with other weights."""
    base, other = (
        each.logits[:, -1].double().log_softmax(-1) for each in (run, prompts.run(changed))
    )
    return float((other - base).abs().max())


def adding_up(found, dtype) -> tuple[list[Check], list[NotRun]]:
    """That direct effects add up with all of the norm, and do not without a part of it."""
    right = found["nothing"]
    closes = tolerance.rounding(dtype, right.scale, len(right.components))
    controls = [
        tolerance.control(f"attribution without {name}, error", each.error, closes, dtype)
        for name, each in found.items()
        if name != "nothing"
    ]
    whole = Check("attribution with all of the norm adds up", right.error, closes)
    return tolerance.parted([whole, *controls])
