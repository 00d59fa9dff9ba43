"""How often do the studies say "supported" where nothing is there to find, and where something is?

Method  For every study that chooses components, the effects of all of them are measured on the screen and
        on the fresh prompts. Its choice and its verdict are then made again and again from them: with as
        many components of the same layers picked at random, with components drawn anew for every template
        within their layer, with right and wrong answer exchanged at random by prompt and by template, and
        with effects planted on the real ones' deviations between templates. What a circuit, the whole model
        and random circuits do is stored for every fresh prompt: one of the random ones stands in its place,
        answers are exchanged, and it is made to do just what each bound asks, all, or half of what the model
        does. Models of random weights go through the studies that need few runs. Intervals are tried on
        simulated data, of clusters of equal size and with one in four ten times as large. The rules that
        name heads are tried on random weights, permuted heads, tasks in which nothing is moved, and
        exchanged answers.
Units   Shares of the repeats that gave a verdict, with Wilson's interval; planted effects in standard
        deviations between templates of the components that would be chosen were nothing planted; lengths
        in those of the simulated data.
Source  Wilson 1927 (the interval of a share); the verdicts' rule is `interp.stats.verdict.decide`.
Limits  Nulls are made from the effects of one model and task. Studies that train a model, compare two, or
        judge by weights are not repeated here: the page lists them with their rule.
"""

from typing import Annotated

from interp.effects.selection import on_discovery
from interp.errors import UsageError, nearest
from interp.report import Check, Headline, Report, Section, Table
from interp.stats import simulated
from interp.study import Range, calibrated, named, study, verdicts
from interp.views import rules

MOST = 0.05
STUDIES = [
    "head_ablation",
    "activation_patching",
    "self_repair",
    "mlp_ablation",
    "layer_ablation",
    "logit_attribution",
    "mlp_neurons",
    "circuit",
]
RANDOM = (
    "Reported and not judged: random weights do something to the logits, so that some of what these studies "
    "support is true of them."
)
NAMED = (
    "What the rules of `interp.circuits.roles` call heads where there is nothing to name: at most 2.5 % of "
    "them under each null."
)
PLANTED = "Planted effects show the power: what is inconclusive there was missed."


@study(
    expects="Under every null each study says supported, and not supported, at most 5 times in 100; effects "
    "of two between-template standard deviations are supported at least 95 times in 100; intervals cover; of "
    "heads at most 2.5 in 100 are named where there is nothing to name.",
    task="gendered_pronoun",
    default=False,
    gated=False,
    # Most of what it takes is statistics, which a rehearsal of its sweeps would all do.
    sweeps=False,
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
        if name not in (*calibrated.SELECTIONS, *calibrated.AGAIN):
            raise UsageError(f"{name!r} chooses no components; {nearest(name, STUDIES)}")
    rates, not_run = verdicts.rates(model, task, studies, repeats, seed)
    intervals = simulated.coverage(simulations, seed)
    random = verdicts.of_random_models(model, task, models, seed)
    heads = named.rates(model, task, min(models, named.MODELS), repeats, seed)
    checks = [
        *(Check(name, rate, MOST) for name, rate in verdicts.wrong(rates).items()),
        *(Check(name, miss, 0.0) for name, miss in simulated.misses(intervals).items()),
        *(
            Check(f"heads named, {null}", rate, named.MOST)
            for null, rate in zip(heads["null"], heads["named"], strict=True)
        ),
    ]
    worst = (
        rates[rates["null"].isin(calibrated.nulls())][["supported", "not_supported"]].max().max()
    )
    found = verdicts.least_found(rates)
    covered = simulated.worst_coverage(intervals)
    shown = Table(
        "rates",
        rates,
        title="Rates among the repeats that gave a verdict",
        note="not_run: there were too few components to rank, so nothing could be said. Of a circuit planted "
        "half what is right is not supported.",
        first_rows=len(rates),
    )
    covering = Table("intervals", intervals, title="95 % intervals", first_rows=len(intervals))
    untrained = Table("random_models", random, title=f"{models} models of this shape, untrained")
    often = f"of {repeats:,} repeats, at most 5 %"
    return Report(
        answer=f"From the effects of {model.name} on {task.name}, made anew {repeats:,} times under each "
        f"null, no study says supported, or not supported, more often than {worst:.1%}; "
        "effects of two between-template standard deviations, and planted circuits, are told at least "
        f"{found:.1%} of the time.",
        verdict=rules.identities(checks),
        headlines=[
            Headline("most often wrong, any null", f"{worst:.1%}", note=often),
            Headline("planted at 2 sd, least often found", f"{found:.1%}", note="at least 95 %"),
            Headline("worst coverage asked for", f"{covered:.1%}", note="simulated, see the table"),
        ],
        sections=[
            Section("Every study under every null", [shown], intro=PLANTED),
            Section("Intervals on simulated data", [covering]),
            *([Section("Models of random weights", [untrained], intro=RANDOM)] if models else []),
            Section(
                "Heads named", [Table("named", heads, title="Share of heads with a name")], NAMED
            ),
            Section("Which studies infer", [Table("studies", calibrated.listed(), first_rows=40)]),
        ],
        checks=checks,
        not_run=not_run,
    )
