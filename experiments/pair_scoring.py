"""What does a sentence-pair classifier decide, and which tokens and heads carry the decision?

Method  The decision is the log-odds of one label, whose sigmoid is the score. Tokens: each one masked,
        or taken out, by itself. Heads: z, the head's slice of what the attention output projection
        reads, is replaced at all tokens by zeros or by its mean over the pairs. Along the skip
        connections, with every norm's scale held, the last vector of the token that is read is a sum of
        what embeddings, heads, MLPs and biases write; one of them taken out of that vector, and what
        follows (pooler, classifier) run as it is, is its direct effect. In a DeBERTa the scores before
        softmax are split into content→content, content→position and position→content, each divided by
        √(3·d_head), and one term is taken out of every layer. Heads are chosen on all premises but one
        and measured on that one, in turn, beside random heads of the same layers.
Units   Log-odds of the label, changed minus unchanged. Negative: the label has less without it.
        Intervals over premises, since pairs of one premise are no independent evidence.
Source  He et al. 2021, DeBERTa, arXiv:2006.03654. The built-in pairs and their published scores are
        those of the first release of Vectara's hallucination evaluation model (HHEM 1.0).
Limits  One token and one head at a time: what stands in for each other looks unimportant. A masked or
        missing token makes a text that the model was not trained on. Few pairs say little of others.
"""

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from interp import stats
from interp.classifiers import ablate, attention, choice, disentangled, occlude, stream
from interp.classifiers.classifier import Absent
from interp.classifiers.names import HHEM, SHORT_NAMES, parted
from interp.classifiers.pairs import pairs as read_pairs
from interp.classifiers.pairs import premises
from interp.classifiers.places import find
from interp.errors import NotApplicable, UsageError
from interp.lab import experiment, progress
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

PUBLISHED = "the published scores of HHEM 1.0"
TOLERANCE = 1e-4


@dataclass
class Evidence:
    """What one way of looking brings to the report."""

    section: Section
    said: str
    headlines: list[Headline] = field(default_factory=list)
    controls: list[Table] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    contest: choice.Contest | None = None


@experiment(
    expects="The heads that move the decision most on the pairs of other premises move it on a new "
    "premise too, the same way and more than random heads of their layers.",
    task=None,
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
    explain: int = 8,
    top: int = 5,
    remote_code: bool = False,
    seed: int = 0,
) -> Report:
    if isinstance(model, Absent):
        return absent(model)
    if explain < 1 or top < 1:
        raise UsageError(f"--explain and --top must be at least 1, got {explain} and {top}")
    listed = read_pairs(pairs)
    readings = [model.read(pair) for pair in listed]
    decided = [model.decide(reading.inputs) for reading in progress(readings, "scoring pairs")]
    decisions = torch.cat(decided).numpy()
    subject = Subject(model, readings[:explain], premises(listed[:explain]), seed)
    found, not_run = [], []
    for name, look in WAYS.items():
        try:
            found.append(look(subject, top))
        except NotApplicable as reason:
            not_run.append(NotRun(name, str(reason)))
    checks = published(model, listed, decisions, not_run)
    contest = next((each.contest for each in found if each.contest), None)
    target = model.labels[model.label]
    chances = expit(decisions)
    return Report(
        answer=f"{model.name} gives {target!r} from {chances.min():.3f} to {chances.max():.3f} on "
        f"{len(listed)} pairs. " + " ".join(each.said for each in found),
        verdict=verdict(contest),
        headlines=[
            Headline(f"mean score of {target!r}", chances.mean(), n=len(listed)),
            *(headline for each in found for headline in each.headlines),
        ],
        inputs=[scored(model, listed, decisions)],
        sections=[each.section for each in found],
        controls=[table for each in found for table in each.controls],
        checks=[*checks, *(check for each in found for check in each.checks)],
        not_run=not_run,
    )


@dataclass
class Subject:
    """The classifier and the pairs on which it is taken apart."""

    model: Any
    readings: list
    clusters: np.ndarray
    seed: int

    @cached_property
    def places(self):
        return find(self.model, self.readings[0])

    @cached_property
    def patterns(self) -> list:
        return [attention.patterns(self.model, reading) for reading in self.readings]

    @cached_property
    def names(self) -> pd.DataFrame:
        layers, heads = self.places.n_layers, self.places.n_heads
        return pd.DataFrame(
            {
                "layer": np.repeat(np.arange(layers), heads),
                "head": np.tile(np.arange(heads), layers),
            }
        )

    @cached_property
    def removed(self) -> dict:
        """Effects [component example] of every head, for each kind of removal."""
        model, places, readings = self.model, self.places, self.readings
        mean = ablate.means(model, places, readings)
        values = {"zero": torch.zeros_like(mean), "mean": mean}
        return {
            kind: np.stack(
                [
                    ablate.ablated(model, places, reading, value).flatten().numpy()
                    for reading in progress(readings, f"removing heads, {kind}, on pairs")
                ],
                -1,
            )
            for kind, value in values.items()
        }

    def estimate(self, effects):
        return stats.mean(np.asarray(effects), self.clusters, seed=self.seed)

    def maps(self, each: dict, unit: str = "log-odds", note: str = "", **look) -> Maps:
        shape = (self.places.n_layers, self.places.n_heads)
        return Maps(
            [
                Heatmap(
                    title, np.asarray(values).reshape(shape), "layer", "head", unit=unit, **look
                )
                for title, values in each.items()
            ],
            note=note,
        )


def absent(model) -> Report:
    name, revision = parted(model.name)
    at = f" --revision {revision}" if revision else ""
    return Report(
        answer=f"Nothing was scored: {name} is neither on this machine nor to be fetched now. Fetch it "
        f"with `hf download {name}{at}`, or name another classifier, such as "
        f"--classifier {next(iter(SHORT_NAMES))} or --classifier FOLDER.",
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
            "score": expit(decisions),
        }
    )
    if any(pair.published is not None for pair in listed):
        frame["published"] = [pair.published for pair in listed]
    labels = ", ".join(map(repr, model.labels[:8])) + (" …" if len(model.labels) > 8 else "")
    return Table(
        "pairs",
        frame,
        title="The pairs and their scores",
        note=f"score: of {model.labels[model.label]!r}, one of the labels {labels}; published: what "
        "HHEM 1.0 was said to give, high where the hypothesis follows from the premise.",
    )


def published(model, listed, decisions, not_run) -> list[Check]:
    """HHEM 1.0 beside its published scores; of another classifier there is nothing to check."""
    if model.name != HHEM:
        not_run.append(
            NotRun(PUBLISHED, f"the pairs were scored by another classifier, {model.name}")
        )
        return []
    known = [number for number, pair in enumerate(listed) if pair.published is not None]
    if not known:
        not_run.append(NotRun(PUBLISHED, "the file of pairs has no column `published`"))
        return []
    scores = expit(decisions[known])
    largest = np.abs(scores - [listed[number].published for number in known]).max()
    return [Check(f"{PUBLISHED}, largest difference", largest, 1e-3)]


def verdict(contest) -> str:
    if contest is None:
        return "not run"
    if contest.difference.low > 0:
        return "supported"
    return "not supported" if contest.difference.high < 0 else "inconclusive"


def tokens(subject, top) -> Evidence:
    """Occlusion, token by token."""
    model, token = subject.model, occlude.occluder(subject.model)
    strips, frames = [], []
    for number, reading in enumerate(progress(subject.readings, "occluding tokens of pairs"), 1):
        frame = pd.DataFrame(
            {
                "pair": number,
                "position": range(len(reading.strings)),
                "token": reading.strings,
                "sentence": [each if each is None else each + 1 for each in reading.sentence],
                "deleted": occlude.deleted(model, reading),
            }
        )
        if token is not None:
            frame["masked"] = occlude.masked(model, reading, token)
        frames.append(frame)
        shown = frame.get("masked", frame["deleted"])
        strips.append(
            TokenStrip(reading.strings, shown.to_numpy(), title=f"Pair {number}", unit="log-odds")
        )
    every = pd.concat(frames, ignore_index=True)
    which = "masked" if token is not None else "deleted"
    real = every.dropna(subset=which)
    most = real.loc[real[which].abs().idxmax()]
    controls = []
    if token is not None:
        rank = stats.rank_correlation(real["masked"].to_numpy(), real["deleted"].to_numpy())
        slope = float((real.masked * real.deleted).sum() / (real.masked**2).sum())
        row = {"rank_correlation": float(rank.value), "slope_of_deleted": slope, "n": len(real)}
        controls = [
            Table("occlusions", pd.DataFrame([row]), title="Does it matter how a token is hidden?")
        ]
    return Evidence(
        Section(
            "Which tokens carry it",
            [
                *strips,
                Table(
                    "tokens",
                    every.sort_values(which, key=abs, ascending=False, na_position="last"),
                    title="Every token, the strongest first",
                    first_rows=12,
                ),
            ],
            intro=f"One token {which} at a time. Red: the label loses log-odds without the token. "
            "Special tokens are left alone.",
        ),
        f"The token that counts most is {most.token.strip()!r} in pair {most.pair}: {which}, it moves "
        f"the log-odds by {most[which]:+.2f}.",
        headlines=[
            Headline(f"{most.token.strip()!r} {which}, pair {most.pair}", most[which], "log-odds")
        ],
        controls=controls,
    )


def heads(subject, top) -> Evidence:
    """Exact ablation, head by head, and heads chosen on other premises."""
    names, removed = subject.names, subject.removed
    estimates = {kind: subject.estimate(effects) for kind, effects in removed.items()}
    mean = estimates["mean"]
    frame = names.assign(effect=mean.value, ci_low=mean.low, ci_high=mean.high)
    frame["effect_of_zero"] = estimates["zero"].value
    strongest = int(np.abs(mean.value).argmax())
    name = "L{layer}H{head}".format(**names.iloc[strongest])
    model, places, reading = subject.model, subject.places, subject.readings[0]
    layer, head = map(int, names.iloc[strongest])
    zero = torch.zeros(1, dtype=torch.float64)
    single = ablate.alone(model, places, reading, layer, head, zero)
    error = abs(single - removed["zero"][strongest, 0])
    found = Evidence(
        Section(
            "Which heads carry it",
            [
                subject.maps({f"{kind}-ablated": estimates[kind].value for kind in ablate.KINDS}),
            ],
            intro="Mean over the pairs of what the log-odds gain without the head.",
        ),
        f"The head that counts most is {name}: mean-ablated, it moves the log-odds by "
        f"{mean.value[strongest]:+.2f} on average.",
        headlines=[
            Headline(
                f"{name}, mean-ablated",
                mean.value[strongest],
                "log-odds",
                *interval(mean, strongest),
                n=mean.n,
                note="the largest of all heads, so its size is flattered",
            )
        ],
        checks=[Check("one head in a batch of heads and by itself, log-odds", error, TOLERANCE)],
    )
    blocks = list(found.section.blocks)
    try:
        contest = choice.contest(
            removed["mean"], names.layer.to_numpy(), subject.clusters, top, subject.seed
        )
    except NotApplicable as reason:
        found.said += f" {reason}."
    else:
        frame["chosen"] = contest.often
        found.contest = contest
        found.controls.append(contest_table(contest))
        found.headlines.append(
            Headline(
                "chosen heads above random ones",
                float(contest.difference.value),
                "log-odds",
                *interval(contest.difference),
                n=contest.difference.n,
                note=f"{top} heads chosen on the other premises",
            )
        )
        found.said += (
            f" The {top} strongest heads of the other premises move it by "
            f"{float(contest.chosen.value):.2f} each on a new one, the way they did there; random heads "
            f"of their layers by {float(contest.controls.value):.2f}."
        )
    ranked = frame.sort_values("effect", key=abs, ascending=False)
    blocks.append(Table("heads", ranked, title="Every head, the strongest first", first_rows=12))
    found.section = replace(found.section, blocks=blocks)
    return found


def interval(estimate, at=()) -> tuple:
    low, high = float(estimate.low[at]), float(estimate.high[at])
    return (None, None) if np.isnan(low) or np.isnan(high) else (low, high)


def contest_table(contest) -> Table:
    rows = [
        [name, float(each.value), float(each.low), float(each.high), each.n]
        for name, each in (
            ("chosen on other premises", contest.chosen),
            ("random heads of the same layers", contest.controls),
            ("difference", contest.difference),
        )
    ]
    return Table(
        "controls",
        pd.DataFrame(rows, columns=["heads", "effect", "ci_low", "ci_high", "n"]),
        title="Chosen heads against random ones, on the premise that was left out",
        note=f"Each head counts in the direction that it had on the other premises. Interval: "
        f"{contest.difference.method}, {contest.difference.clusters} premises.",
    )


def parts(subject, top) -> Evidence:
    """What every part writes to the vector that is read, and its direct effect on the decision."""
    found = [
        stream.parts(subject.model, subject.places, reading)
        for reading in progress(subject.readings, "taking the vector apart, pairs")
    ]
    shares = torch.stack([each.shares for each in found], -1).numpy()
    direct = torch.stack([each.direct for each in found], -1).numpy()
    names = pd.DataFrame([asdict(part) for part in found[0].names])
    estimate, effect = subject.estimate(shares), np.full(len(names), np.nan)
    known = ~np.isnan(direct).any(-1)
    effect[known] = direct[known].mean(-1)
    frame = names.replace(-1, pd.NA).astype({"layer": "Int64", "head": "Int64"})
    frame = frame.assign(
        share=estimate.value, ci_low=estimate.low, ci_high=estimate.high, direct_effect=effect
    )
    kinds = frame.groupby("kind", sort=False)["share"].sum().reset_index()
    is_head = (names.kind == "head").to_numpy()
    heads_direct = direct[is_head].mean(-1)
    total = subject.removed["zero"].mean(-1)
    per_pair = [
        Series(
            str(kind),
            list(range(1, shares.shape[1] + 1)),
            shares[(names.kind == kind).to_numpy()].sum(0),
        )
        for kind in kinds.kind
    ]
    biggest = kinds.loc[kinds.share.idxmax()]
    return Evidence(
        Section(
            "What is written to the vector that is read",
            [
                Table("kinds", kinds, title="Shares of the vector, by kind"),
                Chart("Shares of the vector, pair by pair", "bar", per_pair, "pair", "share"),
                subject.maps(
                    {"share of the vector": shares[is_head].mean(-1)}, unit="share of ‖v‖²"
                ),
                subject.maps(
                    {"direct effect": heads_direct, "zero-ablated − direct": total - heads_direct}
                ),
                Chart(
                    "Direct and total effect of every head",
                    "scatter",
                    [Series("heads", heads_direct, total)],
                    "taken out of the vector alone, log-odds",
                    "zero-ablated, log-odds",
                    note="On the diagonal a head acts through the vector alone; off it, through what "
                    "later heads and MLPs make of it.",
                ),
                Table("parts", frame, title="Every part", first_rows=12),
            ],
            intro="A share is the part's contribution along the vector, over the vector's squared length; "
            "shares sum to 1. A direct effect runs pooler and classifier as they are on the vector "
            "without the part; they are not linear, so direct effects need not add up.",
        ),
        f"Of the vector that it reads, {biggest.share:.0%} is {biggest.kind}.",
        checks=[
            Check("sum of the parts − the vector, largest", max(e.error for e in found), TOLERANCE),
            Check("all parts held − the model's own run", max(e.held for e in found), TOLERANCE),
        ],
    )


def across(subject, top) -> Evidence:
    """Attention from one sentence to the other, and whether it goes with what a head does."""
    pairs = list(zip(subject.patterns, subject.readings, strict=True))
    looks = np.stack([attention.across(*each).flatten().numpy() for each in pairs], -1)
    chance = float(np.mean([attention.chance(*each) for each in pairs]))
    estimate = subject.estimate(looks)
    removed = subject.removed["mean"].mean(-1)
    rank = stats.rank_correlation(looks.mean(-1), np.abs(removed))
    order = np.argsort(-np.abs(removed), kind="stable")[:6]
    chosen = [tuple(map(int, subject.names.iloc[row])) for row in order]
    shown = pairs[:3]
    frame = subject.names.assign(share=estimate.value, ci_low=estimate.low, ci_high=estimate.high)
    most = "L{layer}H{head}".format(**subject.names.iloc[int(looks.mean(-1).argmax())])
    return Evidence(
        Section(
            "Attention between the sentences",
            [
                subject.maps(
                    {"to the other sentence": looks.mean(-1)},
                    unit="share of attention",
                    scale="sequential",
                    note=f"A head that looks evenly at all it can see pays {chance:.2f}.",
                ),
                Attention(
                    "The heads that count most",
                    [reading.strings for _, reading in shown],
                    [
                        np.stack([pattern[place].numpy() for place in chosen])
                        for pattern, _ in shown
                    ],
                    chosen,
                ),
                Table(
                    "across",
                    frame.sort_values("share", ascending=False),
                    title="Every head, the one that looks across most first",
                    first_rows=8,
                ),
            ],
            intro="The share of attention that the tokens of one sentence pay to those of the other. "
            "Where a head looks is not what it does: the rank correlation with the size of its effect "
            f"is {float(rank.value):.2f} [{float(rank.low):.2f}, {float(rank.high):.2f}].",
        ),
        f"{most} looks from sentence to sentence most ({looks.mean(-1).max():.0%}; evenly: {chance:.0%}).",
        checks=[
            Check(
                "rows of the patterns sum to 1",
                max(float((pattern.sum(-1) - 1).abs().max()) for pattern in subject.patterns),
                TOLERANCE,
            )
        ],
    )


def terms(subject, top) -> Evidence:
    """DeBERTa's scores, term by term."""
    model, readings = subject.model, subject.readings
    found = [disentangled.terms(model, reading) for reading in readings]
    error = max(
        disentangled.mismatch(each, pattern)
        for each, pattern in zip(found, subject.patterns, strict=True)
    )
    shares = torch.stack([disentangled.shares(each) for each in found]).mean(0).numpy()
    removed = {
        term: [
            disentangled.without(model, reading, term)
            for reading in progress(readings, f"taking {term} out, pairs")
        ]
        for term in disentangled.TERMS
    }
    rows, series = [], []
    for number, term in enumerate(disentangled.TERMS):
        whole = subject.estimate([everywhere for _, everywhere in removed[term]])
        layers = subject.estimate(np.stack([each.numpy() for each, _ in removed[term]], -1))
        rows.append(
            [
                term,
                shares[number].mean(),
                float(whole.value),
                *map(float, (whole.low, whole.high)),
                whole.n,
            ]
        )
        series.append(Series(term, range(len(layers.value)), layers.value))
    frame = pd.DataFrame(rows, columns=["term", "share", "effect", "ci_low", "ci_high", "n"])
    most = frame.loc[frame.effect.abs().idxmax()]
    return Evidence(
        Section(
            "The terms of the scores",
            [
                Table("terms", frame, title="Each term, taken out of every layer"),
                subject.maps(
                    dict(zip(disentangled.TERMS, shares, strict=True)), unit="share of the scores"
                ),
                Chart(
                    "Each term, taken out of one layer", "line", series, "layer", "log-odds added"
                ),
            ],
            intro="c2c: content to content; c2p: content to position; p2c: position to content. A share is "
            "the term along the sum of all three, every row's mean taken off, over that sum's squared "
            "length; shares sum to 1. Softmax does not see a row's mean, so that taking a term out is "
            "putting its mean.",
        ),
        f"Without {most.term} in any layer the log-odds move by {most.effect:+.2f}.",
        checks=[Check("sum of the terms − the model's scores, largest", error, TOLERANCE)],
    )


WAYS = {
    "tokens": tokens,
    "heads": heads,
    "parts of the vector": parts,
    "attention between the sentences": across,
    "terms of the scores": terms,
}
