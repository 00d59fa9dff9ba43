"""How often do the studies say "supported" where nothing is there to find, and where something is?

Method  For every study that chooses components, the effects of all of them are measured on the screen and
        on the fresh prompts. Its choice and its verdict are then made again and again from them: with as
        many components of the same layers picked at random, with components drawn anew for every template
        within their layer, with right and wrong answer exchanged at random by prompt and by template, and
        with effects planted on the real ones' deviations between templates. Models of random weights go
        through the studies that need few runs. Intervals are tried on simulated data, of clusters of equal
        size and with one in four ten times as large.
Units   Shares of the repeats that gave a verdict, with Wilson's interval; planted effects in standard
        deviations between templates of the components that would be chosen were nothing planted; lengths
        in those of the simulated data.
Source  Wilson 1927 (the interval of a share); the verdicts' rule is `interp.stats.verdict.decide`.
Limits  Nulls are made from the effects of one model and task. Studies that train a model, compare two, or
        judge by weights are not repeated here: the page lists them with their rule.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
import pandas as pd

from interp import stats
from interp.effects.selection import on_discovery
from interp.errors import NotApplicable, UsageError, nearest
from interp.report import Check, Headline, NotRun, Report, Section, Table
from interp.stats import calibration, simulated
from interp.study import Range, calibrated, meter, progress, study
from interp.training.initial import fresh as untrained

MOST = 0.05
STUDIES = [
    "head_ablation",
    "activation_patching",
    "self_repair",
    "mlp_ablation",
    "layer_ablation",
    "logit_attribution",
    "mlp_neurons",
]
# Studies that need few runs, for models of random weights, with settings that make them small.
QUICK = {
    "logit_attribution": {"scores": 1},
    "attention_patterns": {},
    "logit_lens": {},
    "induction_heads": {"length": 12},
}


@study(
    expects="Under every null each study says supported, and not supported, at most 5 times in "
    "100; effects of "
    "two between-template standard deviations are supported at least 95 times in 100; intervals cover.",
    task="gendered_pronoun",
    default=False,
    gated=False,
    sweeps=True,
)
def calibration_of_verdicts(
    model,
    task,
    *,
    studies: list[str] = STUDIES,
    repeats: Annotated[int, Range(20, 100_000)] = 1000,
    models: Annotated[int, Range(0, 10_000)] = 200,
    simulations: Annotated[int, Range(100, 100_000)] = 2000,
    seed: int = 0,
) -> Report:
    on_discovery(task)
    for name in studies:
        if name not in calibrated.SELECTIONS:
            raise UsageError(f"{name!r} chooses no components; {nearest(name, STUDIES)}")
    rates, not_run = _rates(model, task, studies, repeats, seed)
    intervals = simulated.coverage(simulations, seed)
    random = _random_models(model, task, models, seed)
    checks = [*_held_rates(rates), *_held_intervals(intervals)]
    nulls = rates[rates["null"].isin(calibration.NULLS)]
    worst = nulls[["supported", "not_supported"]].max().max()
    found = rates[rates["null"] == "planted 2 sd"]["supported"].min()
    return Report(
        answer=f"From the effects of {model.name} on {task.name}, made anew {repeats:,} times under each of "
        f"{len(calibration.NULLS)} nulls, no study says supported, or not supported, more often than "
        f"{worst:.1%}; effects of two between-template standard deviations are supported at least "
        f"{found:.1%} of the time.",
        verdict="supported" if all(check.passed for check in checks) else "not supported",
        headlines=[
            Headline(
                "most often wrong, any null",
                f"{worst:.1%}",
                note=f"of {repeats:,} repeats, at most 5 %",
            ),
            Headline("planted at 2 sd, least often found", f"{found:.1%}", note="at least 95 %"),
            Headline(
                "worst coverage asked for",
                f"{_worst(intervals):.1%}",
                note="simulated, see the table",
            ),
        ],
        sections=[
            Section(
                "Every study under every null",
                [
                    Table(
                        "rates",
                        rates,
                        title="Rates among the repeats that gave a verdict",
                        first_rows=len(rates),
                        note="not_run: there were too few components to rank, so nothing could be said.",
                    )
                ],
                intro="Planted effects show the power: what is inconclusive there was missed.",
            ),
            Section(
                "Intervals on simulated data",
                [Table("intervals", intervals, title="95 % intervals", first_rows=len(intervals))],
            ),
            *(
                [
                    Section(
                        "Models of random weights",
                        [
                            Table(
                                "random_models",
                                random,
                                title=f"{models} models of this shape, untrained",
                            )
                        ],
                        intro="Reported and not judged: random weights do something to the "
                        "logits, so that some "
                        "of what these studies support is true of them.",
                    )
                ]
                if len(random)
                else []
            ),
            Section("Which studies infer", [Table("studies", _listed(), first_rows=40)]),
        ],
        checks=checks,
        not_run=not_run,
    )


def _rates(model, task, names, repeats: int, seed: int) -> tuple[pd.DataFrame, list[NotRun]]:
    """One row a study and null."""
    kept, rows, not_run = calibrated.Kept(), [], []
    for name in progress(names, "studies"):
        study = calibrated.SELECTIONS[name]
        try:
            stored = study.measure(model, task, study.top)
        except (NotApplicable, UsageError) as reason:
            not_run.append(NotRun(name, str(reason)))
            continue
        for what in [*calibration.NULLS, *calibration.PLANTED]:
            watch = meter(f"{name}, {what}, repeats", repeats)
            counted = kept.counts(name, what, stored, repeats, seed)
            watch.advance(repeats)
            rows.append([name, what, *_row(counted, repeats)])
    columns = ["study", "null", "n", "supported", "supported_low", "supported_high"]
    columns += [
        "not_supported",
        "not_supported_low",
        "not_supported_high",
        "inconclusive",
        "not_run",
    ]
    return pd.DataFrame(rows, columns=columns), not_run


def _row(counted, repeats: int) -> list[float]:
    """n, each rate with its interval, the share of inconclusive ones and of those that were not run."""
    judged = repeats - counted[calibration.NOT_RUN]
    row: list[float] = [judged]
    for verdict in ("supported", "not supported"):
        if not judged:
            row += [np.nan] * 3
            continue
        share = stats.share(np.arange(judged) < counted[verdict])
        row += [float(share.value), float(share.low), float(share.high)]
    inconclusive = counted["inconclusive"] / judged if judged else np.nan
    return [*row, inconclusive, counted[calibration.NOT_RUN] / repeats]


def _held_rates(rates: pd.DataFrame) -> list[Check]:
    checks = []
    for name, rows in rates.groupby("study", sort=False):
        nulls = rows[rows["null"].isin(calibration.NULLS) & (rows["n"] > 0)]
        if not len(nulls):
            continue
        for verdict in ("supported", "not_supported"):
            words = verdict.replace("_", " ")
            checks.append(
                Check(f"{name}, {words} under a null, largest rate", nulls[verdict].max(), MOST)
            )
        planted = rows[rows["null"] == "planted 2 sd"]
        missed = 1 - float((planted["supported"] * (1 - planted["not_run"])).iloc[0])
        checks.append(Check(f"{name}, planted at 2 sd and missed", missed, MOST))
    return checks


def _held_intervals(intervals: pd.DataFrame) -> list[Check]:
    checks = []
    for (shape, sizes), rows in intervals.groupby(["shape", "sizes"], sort=False):
        asked = [
            (least - row.coverage, row)
            for row in rows.itertuples()
            if (least := simulated.least_coverage(shape, row.clusters)) is not None
        ]
        if asked:
            short, row = max(asked, key=lambda each: each[0])
            name = f"{shape}, {sizes}: coverage below what is asked, at worst ({row.clusters} clusters)"
            checks.append(Check(name, max(short, 0.0), 0.0))
        tested = [
            (row.size - most, row)
            for row in rows.itertuples()
            if (most := simulated.most_size(shape, row.clusters)) is not None
        ]
        if tested:
            over, row = max(tested, key=lambda each: each[0])
            name = f"{shape}, {sizes}: size above what is asked, at worst ({row.clusters} clusters)"
            checks.append(Check(name, max(over, 0.0), 0.0))
    return checks


def _worst(intervals: pd.DataFrame) -> float:
    held = [
        row.coverage
        for row in intervals.itertuples()
        if simulated.least_coverage(row.shape, row.clusters) is not None
    ]
    return min(held)


def _random_models(model, task, models: int, seed: int) -> pd.DataFrame:
    """Verdicts of the quick studies on untrained models of two layers, with the same tokenizer and task."""
    if not models:
        return pd.DataFrame()
    heads = 8
    shape = {"n_layers": 3, "n_heads": heads, "d_model": 64, "d_head": 8}
    shape |= {"d_mlp": 128 if model.config.d_mlp else 0, "n_kv_heads": heads, "rotary_dim": 8}
    config = replace(model.config, **shape)
    counted = {name: {} for name in QUICK}
    for number in progress(range(models), "models of random weights"):
        one = untrained(config, seed + number, model.origin, lambda: model.tokenizer).eval()
        for name, settings in QUICK.items():
            verdict = calibrated.verdict_of(name, one, task, seed + number, **settings)
            counted[name][verdict] = counted[name].get(verdict, 0) + 1
    order = ("supported", "not supported", "inconclusive", calibration.NOT_RUN)
    rows = [
        [name, models, *(each.get(v, 0) / models for v in order)] for name, each in counted.items()
    ]
    return pd.DataFrame(rows, columns=["study", "n", *(v.replace(" ", "_") for v in order)])


def _listed() -> pd.DataFrame:
    rows = [
        [name, "chooses, ranks and confirms", it.planted]
        for name, it in calibrated.SELECTIONS.items()
    ]
    rows += [[name, "the same rule", of] for name, of in calibrated.SAME_RULE.items()]
    rows += [[name, "a rule of its own", rule] for name, rule in calibrated.OWN_RULE.items()]
    rows += [[name, "an identity, which holds or does not", ""] for name in calibrated.IDENTITIES]
    return pd.DataFrame(rows, columns=["study", "verdict", "planted"])
