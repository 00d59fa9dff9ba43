"""What does a sentence-pair classifier decide, and which tokens and heads carry the decision?

Method  The decision is the log-odds of one label, whose sigmoid is the score. Tokens: each one masked,
        or taken out, by itself. Heads: z, the head's slice of what the attention output projection
        reads, is replaced at all tokens by zeros or by its mean over the pairs. Along the skip
        connections, with every norm's scale held, the last vector of the token that is read is a sum of
        what embeddings, heads, MLPs and biases write; one of them taken out of that vector, and what
        follows (pooler, classifier) run as it is, is its direct effect. In a DeBERTa the scores before
        softmax are split into content→content, content→position and position→content, each divided by
        √(3·d_head), and one term is taken out of every layer. Heads are chosen on every other premise
        and measured on those between: among random sets of heads of the same layers, and beside moves
        of equal norm in random directions and along differences of unrelated pairs. With fewer than
        16 premises each is left out in turn, and there is no verdict.
Units   Log-odds of the label, changed minus unchanged. Negative: the label has less without it. A
        regression gives a number and no probability: there, log-odds and score are that number.
        Scores are those of Hugging Face's pipeline: softmax over labels, sigmoid of one label or of
        labels that do not exclude each other, or the number. Intervals over clusters of
        pairs that share a premise or a hypothesis, since those are no independent evidence.
Source  He et al. 2021, DeBERTa, arXiv:2006.03654. The built-in pairs and their published scores are
        those of the first release of Vectara's hallucination evaluation model (HHEM 1.0).
Limits  One token and one head at a time: what stands in for each other looks unimportant. A masked or
        missing token makes a text that the model was not trained on. Few pairs say little of others.
"""

import shlex
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from interp import stats
from interp.classifiers import choice, disentangled
from interp.classifiers.classifier import Absent
from interp.classifiers.names import HHEM, SHORT_NAMES, parted
from interp.classifiers.opened import Opened, head_names, isolated, part_names
from interp.classifiers.pairs import pairs as read_pairs
from interp.components import Head
from interp.effects.test import without_interval
from interp.errors import NotApplicable, UnavailableError
from interp.report import (
    Attention,
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
    TokenStrip,
)
from interp.stats.verdict import LEAST_CONFIRMING, POWER, RECHOICES, smallest_effect
from interp.study import Count, progress, study
from interp.views import rules, tolerance

PUBLISHED = "the published scores of HHEM 1.0"
TOLERANCE = 1e-4
WRITTEN = {"embed": "the embeddings", "head": "heads", "mlp": "MLPs"}
SHOWN = 8


@dataclass
class Evidence:
    """What one way of looking brings to the report."""

    section: Section
    said: str
    headlines: list = field(default_factory=list)
    controls: list = field(default_factory=list)
    checks: list = field(default_factory=list)
    verdict: str = ""
    not_run: list = field(default_factory=list)


@study(
    expects="The heads that move the decision most on the pairs of other premises move it on new "
    "premises too, the same way, more than random heads of their layers and than moves of equal norm "
    "in other directions.",
    task=None,
    cost=60,
    default=False,
    model="classifier",
)
def pair_scoring(
    model,
    task,
    *,
    classifier: str = "vectara/hallucination_evaluation_model@hhem-1.0-open",
    label: str = "",
    pairs: str | None = None,
    explain: Count = 8,
    top: Count = 5,
    remote_code: bool = False,
    seed: int = 0,
) -> Report:
    if isinstance(model, Absent):
        return absent(model)
    listed = read_pairs(pairs)
    readings = [model.read(pair) for pair in listed]
    decided = [model.decide(reading.inputs) for reading in progress(readings, "scoring pairs")]
    decisions = torch.cat(decided).numpy()
    if not np.isfinite(decisions).all():
        number = int(np.flatnonzero(~np.isfinite(decisions))[0]) + 1
        raise UnavailableError(
            f"{model.name} gives {decisions[number - 1]} for pair {number}: not the weights of a trained "
            "classifier, or too large for this --dtype"
        )
    opened, found, not_run = Opened(model, listed[:explain], progress, seed), [], []
    for name, look in WAYS.items():
        try:
            found.append(look(opened, top))
        except NotApplicable as reason:
            not_run.append(NotRun(name, str(reason)))
    not_run += [reason for each in found for reason in each.not_run]
    checks = published(model, listed, decisions, not_run)
    target, scores = model.labels[model.label], model.scores(decisions)
    return Report(
        answer=f"{model.name} gives {target!r} from {scores.min():.3f} to {scores.max():.3f} on "
        f"{len(listed)} pairs. " + " ".join(each.said for each in found),
        verdict=next((each.verdict for each in found if each.verdict), "not run"),
        headlines=[headline for each in found for headline in each.headlines],
        inputs=[scored(model, listed, decisions)],
        sections=[each.section for each in found],
        controls=[block for each in found for block in each.controls],
        checks=[*checks, *(check for each in found for check in each.checks)],
        not_run=not_run,
    )


def absent(model) -> Report:
    name, revision = parted(model.name)
    fetch = shlex.join(["hf", "download", name, *(["--revision", revision] if revision else [])])
    return Report(
        answer=f"Nothing was scored: {name} is neither on this machine nor to be fetched now. Fetch it "
        f"with `{fetch}`, or name another classifier: "
        f"--classifier {next(iter(SHORT_NAMES))}, or --classifier FOLDER.",
        verdict="not run",
        sections=[],
        not_run=[NotRun(PUBLISHED, "model not available offline")],
        warnings=[model.reason],
    )


def scored(model, listed, decisions) -> Table:
    frame = pd.DataFrame(
        {
            "pair": range(1, len(listed) + 1),
            "premise": [pair.premise for pair in listed],
            "hypothesis": [pair.hypothesis for pair in listed],
            "log_odds": decisions,
            "score": model.scores(decisions),
        }
    )
    note = f"score: of {model.labels[model.label]!r}; labels: {', '.join(model.labels)}."
    if model.link == "number":
        note += (
            " log_odds and score: the number that the model gives; a regression has no probability."
        )
    if any(pair.published is not None for pair in listed):
        frame["published"] = [pair.published for pair in listed]
        note += (
            " published: what HHEM 1.0 gives, high where the hypothesis follows from the premise."
        )
    return Table("pairs", frame, title="The pairs and their scores", note=note)


def published(model, listed, decisions, not_run) -> list[Check]:
    """HHEM 1.0 beside its published scores; of another classifier there is nothing to check."""
    known = [number for number, pair in enumerate(listed) if pair.published is not None]
    if model.name != HHEM or not known:
        reason = f"the pairs were scored by another classifier, {model.name}"
        not_run.append(NotRun(PUBLISHED, reason if known else "these pairs have none"))
        return []
    difference = model.scores(decisions[known]) - [listed[number].published for number in known]
    return [Check(f"{PUBLISHED}, largest difference", np.abs(difference).max(), 1e-3)]


def tokens(opened, top) -> Evidence:
    every, unit = opened.tokens(), opened.unit
    which = "masked" if "masked" in every else "deleted"
    strips = [
        TokenStrip(each.token.tolist(), each[which].to_numpy(), f"Pair {number}", unit)
        for number, each in every.groupby("pair")
    ]
    real = every.dropna(subset=which).sort_values(which, key=abs, ascending=False)
    if real.empty:
        raise NotApplicable("no pair has a token of its own beside special tokens")
    most, controls = real.iloc[0], []
    if which == "masked":
        rank = stats.rank_correlation(real["masked"].to_numpy(), real["deleted"].to_numpy())
        slope = float((real.masked * real.deleted).sum() / (real.masked**2).sum())
        row = {"rank_correlation": float(rank.value), "slope_of_deleted": slope, "n": len(real)}
        title = "Does it matter whether a token is masked or deleted?"
        controls.append(Table("occlusions", pd.DataFrame([row]), title=title))
    word = most.token.strip()
    columns = ["pair", "sentence", "position", "token", which]
    columns += ["deleted"] if which == "masked" else []
    return Evidence(
        Section(
            "Which tokens carry it",
            [
                *strips,
                Table("tokens", real[columns], "Every token, the strongest first", "", SHOWN),
            ],
            intro=f"One token {which} at a time. Red: the {unit} falls without the token. "
            "Special tokens are left alone.",
        ),
        f"The token that counts most is {word!r} in pair {most.pair}: {which}, it moves the {unit} "
        f"by {most[which]:+.2f}.",
        [Headline(f"{word!r} {which}, pair {most.pair}", most[which], unit)],
        controls,
    )


def heads(opened, top) -> Evidence:
    frame = opened.estimates(opened.heads, opened.removed["mean"], "effect")
    frame["effect_of_zero"] = opened.removed["zero"].mean(-1)
    frame = frame.sort_values("effect", key=abs, ascending=False)
    best, name = frame.iloc[0], head_name(frame.iloc[0])
    shown = {
        f"{kind}-ablated": opened.by_layer(each.mean(-1)) for kind, each in opened.removed.items()
    }
    return Evidence(
        Section(
            "Which heads carry it",
            [
                maps(opened, shown),
                Table("heads", frame, "Every head, the strongest first", first_rows=SHOWN),
            ],
            intro=f"Mean over the pairs of what is added to the {opened.unit} without the head.",
        ),
        f"The head that counts most is {name}, {best.effect:+.2f} when mean-ablated.",
        [
            headline(
                f"{name}, mean-ablated",
                opened.estimate(opened.removed["mean"]),
                opened.unit,
                best.name,
            )
        ],
        checks=[
            Check(
                "a head in a batch and in a run of its own",
                opened.batch_error(),
                allowed(opened, 1e-3, opened.largest_decision()),
            )
        ],
    )


def held_out(opened, top) -> Evidence:
    return (
        on_the_other_half(opened, top)
        if choice.enough(opened.clusters)
        else leaving_each_out(opened, top)
    )


def on_the_other_half(opened, top) -> Evidence:
    """Enough premises for a verdict: chosen on one half, measured on the other."""
    trial = opened.trial(min(top, len(opened.heads)))
    rank, found, unit = trial.ranking, trial.confirmation, opened.unit
    names = opened.heads.iloc[trial.rows].assign(chosen=1, discovery_effect=trial.discovery)
    here = opened.clusters[trial.held_out]
    each = stats.mean(trial.effects[:, trial.held_out], here, seed=opened.seed)
    names = names.assign(effect=each.value, ci_low=each.low, ci_high=each.high)
    control = f"{rank.draws} random sets of as many heads of the same layers"
    clusters = len(np.unique(here))
    means = " and ".join(f"{name} {float(it.value):.2f}" for name, it in found.controls.items())
    null = (
        f"{len(trial.rows)} random heads of the same layers, each in the direction that it had on the "
        "other half. "
    )
    null += (
        f"The chosen set's mean there, {rank.value:.3g}, ranks p = {rank.p:.2g} among {control} (one in "
        f"forty reaches {rank.high:.3g}). Picked at random, {trial.at_random:.1%} of {RECHOICES:,} "
        "choices would have passed this rank and an interval beyond zero."
        if rank.ran
        else f"Not run: {rank.reason}. Without it nothing is called supported."
    )
    return Evidence(
        Section(
            "Heads on premises held out",
            [Table("chosen", names, title="The chosen heads, measured", first_rows=SHOWN)],
            intro=f"The {len(trial.rows)} strongest heads are chosen on every other premise and measured "
            f"on the {clusters} between.",
        ),
        f"On premises held out, the {len(trial.rows)} strongest heads move the decision by "
        f"{float(found.chosen.value):.2f} each, the way they did on the others; {means}"
        + (f". Among random sets they rank p = {rank.p:.2g}." if rank.ran else "."),
        [headline("chosen heads on held-out premises", found.chosen, unit)],
        [
            rules.rule(
                null,
                f"pairs like the {found.chosen.n} held-out ones, of {clusters} clusters that share no "
                "sentence",
                f"the smallest mean effect found {POWER * 10:.0f} times in 10 is "
                f"{smallest_effect(found):.3g} {unit}; the chosen have {float(found.chosen.value):.3g}",
            ),
            controls_table(
                {
                    "chosen on the other premises": found.chosen,
                    **found.controls,
                    **{f"chosen − {name}": it for name, it in found.differences.items()},
                },
                "The chosen heads beside their controls, on held-out premises",
                f"Interval: {found.chosen.method}, {clusters} clusters of pairs; p of the ranking: of "
                f"{control}.",
                {"chosen on the other premises, held-out mean": (rank.value, rank.p)},
            ),
        ],
        verdict=trial.verdict,
        not_run=[] if rank.ran else [NotRun("random heads of the same layers", rank.reason)],
    )


def leaving_each_out(opened, top) -> Evidence:
    """Few premises: estimates with each of them left out in turn, no interval and no verdict."""
    contest = opened.contest(top)
    chosen = opened.heads.assign(chosen=contest.often)
    chosen = chosen[chosen.chosen > 0].sort_values("chosen", ascending=False)
    few = (
        f"No interval and no verdict: {contest.rounds} clusters of pairs that share no sentence, "
        f"{2 * LEAST_CONFIRMING} are needed (--pairs FILE with more, --explain as many)."
    )
    found = {
        "chosen on other premises": contest.chosen,
        "random heads of the same layers": contest.controls,
        "difference": contest.difference,
    }
    return Evidence(
        Section(
            "Heads on a premise held out",
            [Table("chosen", chosen, title="How often each head was chosen", first_rows=SHOWN)],
            intro=f"Each of the {contest.rounds} premises is left out in turn, the {top} strongest heads "
            "are chosen on the pairs of the others, and measured on its own.",
        ),
        f"On a premise held out, the {top} strongest heads of the others move the decision by "
        f"{float(contest.chosen.value):.2f} each, the way they did there; random heads of their layers "
        f"by {float(contest.controls.value):.2f}. {few}",
        [
            headline(
                "chosen heads above random ones",
                without_interval(contest.difference),
                opened.unit,
            )
        ],
        [
            controls_table(
                {name: without_interval(each) for name, each in found.items()},
                "Chosen heads against random ones, on the premise that was left out",
                f"Each head counts in the direction that it had on the other premises. {few}",
            )
        ],
        verdict="inconclusive",
        not_run=[NotRun("the chosen heads among random sets, and in other directions", few)],
    )


def allowed(opened, least, scale=1.0, n_terms=1) -> float:
    """What a check allows in float32, or what rounding makes of it in this number format."""
    rounded = tolerance.rounding(opened.dtype, scale, n_terms, opened.depth)
    return rounded if opened.dtype.itemsize < 4 else max(least, rounded)


def head_name(row) -> str:
    return str(Head(int(row["layer"]), int(row["head"])))


def headline(label, estimate, unit, at=()) -> Headline:
    value, low, high = (float(each[at]) for each in (estimate.value, estimate.low, estimate.high))
    ends = {} if np.isnan(low) or np.isnan(high) else {"low": low, "high": high}
    return Headline(label, value, unit, n=estimate.n, **ends)


def maps(opened, each, unit="", note="", **look) -> Maps:
    return Maps(
        [
            Heatmap(title, values, "layer", "head", unit=unit or opened.unit, **look)
            for title, values in each.items()
        ],
        note=note,
    )


def controls_table(estimates, title, note, ranked=None) -> Table:
    columns = ["heads", "effect", "ci_low", "ci_high", "n", "p"]
    rows = [
        (name, float(it.value), float(it.low), float(it.high), it.n, np.nan if it.p is None else float(it.p))
        for name, it in estimates.items()
    ]  # fmt: skip
    nan = float("nan")
    rows += [(name, value, nan, nan, None, p) for name, (value, p) in (ranked or {}).items()]
    frame = pd.DataFrame(rows, columns=columns).astype({"n": "Int64"})
    return Table("controls", frame, title=title, note=note)


def parts(opened, top) -> Evidence:
    found = opened.parts()
    names = part_names(found[0].names)
    shares = torch.stack([each.shares for each in found], -1).numpy()
    direct = torch.stack([each.direct for each in found], -1).mean(-1).numpy()
    frame = opened.estimates(names, shares, "share").assign(direct_effect=direct)
    is_head = (names.kind == "head").to_numpy()
    total = opened.removed["zero"].mean(-1)
    kinds = frame.groupby("kind", sort=False)["share"].sum().reset_index()
    pairs = [f"pair {number}" for number in range(1, len(found) + 1)]
    by_pair = [
        Series(kind, pairs, shares[(names.kind == kind).to_numpy()].sum(0)) for kind in kinds.kind
    ]
    most = kinds.loc[kinds.share.idxmax()]
    close = allowed(opened, TOLERANCE, max(each.scale for each in found), len(names))
    apart = {"direct effect": direct[is_head], "zero-ablated − direct": total - direct[is_head]}
    apart = {title: opened.by_layer(each) for title, each in apart.items()}
    return Evidence(
        Section(
            "What is written to the vector that is read",
            [
                Table("kinds", kinds, title="Shares of the vector, by kind"),
                Chart("Shares of the vector, pair by pair", "stacked", by_pair, "", "share"),
                maps(
                    opened,
                    {"share of the vector": opened.by_layer(shares[is_head].mean(-1))},
                    "share of ‖v‖²",
                ),
                maps(opened, apart),
                Chart(
                    "Direct and total effect of every head",
                    "scatter",
                    [Series("heads", direct[is_head], total)],
                    f"taken out of the vector alone, {opened.unit}",
                    f"zero-ablated, {opened.unit}",
                    note="On the diagonal a head acts through the vector alone; off it, through what "
                    "later heads and MLPs make of what it writes.",
                ),
                Table("parts", frame, title="Every part", first_rows=SHOWN),
            ],
            intro="A share is the part's contribution along the vector, over the vector's squared length; "
            "shares sum to 1. A direct effect runs pooler and classifier as they are on the vector "
            "without the part; they are not linear, so direct effects need not add up.",
        ),
        f"Of the vector that is read, {most.share:.0%} is written by {WRITTEN.get(most.kind, most.kind)}.",
        checks=[
            Check("sum of the parts − the vector, largest", max(e.error for e in found), close),
            Check("all parts held − the model's own run", max(e.held for e in found), close),
        ],
    )


def across(opened, top) -> Evidence:
    looks, chance = opened.across()
    n_layers, n_heads, *_ = opened.patterns[0].shape
    names = head_names(n_layers, n_heads)
    frame = opened.estimates(names, looks, "share").sort_values("share", ascending=False)
    strongest, which, beside = opened.strongest(looks)
    chosen = [tuple(map(int, place)) for place in names.iloc[strongest].to_numpy()]
    shown = list(zip(opened.patterns, opened.readings, strict=True))[:3]
    first = frame.iloc[0]
    return Evidence(
        Section(
            "Attention between the sentences",
            [
                maps(
                    opened,
                    {"to the other sentence": looks.mean(-1).reshape(n_layers, n_heads)},
                    "share of attention",
                    f"A head that looks evenly at all it can see pays {chance:.2f}.",
                    scale="sequential",
                ),
                Attention(
                    f"The heads that {which}, on the first pairs",
                    [reading.strings for _, reading in shown],
                    [np.stack([pattern[at].numpy() for at in chosen]) for pattern, _ in shown],
                    chosen,
                ),
                Table(
                    "across", frame, "Every head, the one that looks across most first", "", SHOWN
                ),
            ],
            intro="The share of attention that the tokens of one sentence pay to those of the other. "
            f"Where a head looks is not what it does: {beside}.",
        ),
        f"{head_name(first)} attends from sentence to sentence most "
        f"({first.share:.0%}; evenly: {chance:.0%}).",
        checks=[
            Check(
                "rows of the patterns − 1, largest",
                max(float((pattern.sum(-1) - 1).abs().max()) for pattern in opened.patterns),
                allowed(opened, TOLERANCE, n_terms=max(p.shape[-1] for p in opened.patterns)),
            )
        ],
    )


def terms(opened, top) -> Evidence:
    shares, error, largest = opened.terms()
    rows, series = [], []
    for term, share in zip(disentangled.TERMS, shares, strict=True):
        layers, everywhere = opened.without_term(term)
        rows.append(pd.DataFrame({"term": [term], "share": [share.mean()]}))
        rows[-1] = opened.estimates(rows[-1], everywhere[None], "effect")
        series.append(Series(term, range(len(layers)), layers.mean(-1)))
    frame = pd.concat(rows, ignore_index=True)
    most = frame.loc[frame.effect.abs().idxmax()]
    title = "Each term, taken out of one layer"
    return Evidence(
        Section(
            "The terms of the scores",
            [
                Table("terms", frame, title="Each term, taken out of every layer"),
                maps(
                    opened,
                    dict(zip(disentangled.TERMS, shares, strict=True)),
                    "share of the scores",
                ),
                Chart(title, "line", series, "layer", f"{opened.unit} added"),
            ],
            intro="c2c: content to content; c2p: content to position; p2c: position to content. A share is "
            "the term along the sum of all three, every row's mean taken off, over that sum's squared "
            "length; shares sum to 1. Softmax does not see a row's mean, so that taking a term out is "
            "putting its mean.",
        ),
        f"With {most.term} taken out of every layer the {opened.unit} moves by {most.effect:+.2f}.",
        checks=[
            Check(
                "sum of the terms − the model's scores, largest",
                error,
                allowed(opened, TOLERANCE, largest),
            )
        ],
    )


WAYS = {
    name: isolated(look)
    for name, look in {
        "tokens": tokens,
        "heads": heads,
        "heads on a premise held out": held_out,
        "parts of the vector": parts,
        "attention between the sentences": across,
        "terms of the scores": terms,
    }.items()
}
