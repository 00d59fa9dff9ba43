"""Where do the heads with the largest direct effects attend to on real prompts?

Method  The heads whose direct effect on the logit difference is largest are chosen on the discovery half of
        the screen; their attention from each named position to each earlier one is averaged over prompts.
        What they give from END to named words is ranked on the other half of the screen among random heads
        of the same layers, and confirmed on fresh prompts beside an even spread over all that may be seen.
Units   Attention in shares of 1, mean of templates' means. `even` is what a head that attends evenly to all
        it may see would have.
Source  Wang et al. 2022, arXiv:2211.00593 (attention between named positions).
Limits  Heads that act through other heads are not among those chosen. Attention to a position is not
        use of what is there.
"""

from dataclasses import replace

import numpy as np

from interp import sites
from interp.effects import Effects
from interp.errors import NotApplicable
from interp.methods import attention, attribute
from interp.report import Section, Table
from interp.study import Heads, Report, study
from interp.tasks.batches import places, whole
from interp.views import attention as shown
from interp.views import estimates, tests

EVEN = "an even spread"
NO_NAMES = (
    "name no position but the first and the last, so there is nothing to attend to; a file names positions "
    "in columns pos_NAME"
)


@study(
    expects="From the last token the heads with the largest direct effects attend to named positions other "
    "than the first and the last, on held-out templates, more than random heads of their layers do and more "
    "than an even spread would.",
    task="ioi",
    also="induction",
    cost=6,
)
def attention_patterns(model, task, *, seed: int = 0, top: Heads = 8) -> Report:
    named, prompts = places(task), whole(task, model.device)
    inner = [name for name in named if name not in ("BOS", "END")]
    if not inner:
        raise NotApplicable(f"the prompts of {task.name} {NO_NAMES}")
    kept = [sites.pattern(layer) for layer in range(model.config.n_layers)]
    run = prompts.run(model, keep={*attribute.wanted(model), *kept})
    direct = attribute.attribute(model, run, prompts).heads(task)
    every, even = direct.components, attention.even(model, prompts)
    chosen = direct.select(min(top, max(1, len(every) // 2)))
    heads, random = chosen.components, [every[row] for row in chosen.matched(seed)]
    test = tested(model, run, chosen, inner, seed)

    table, *others = (
        shown.between(run, each, named, even, task, seed) for each in (heads, random) if each
    )
    title = "The same for random heads of the same layers"
    beside = [Table("random_heads", each, title=title, first_rows=10) for each in others]
    given = shown.bounded(test.confirmation.chosen)
    spread = shown.bounded(test.confirmation.controls[EVEN])
    rank = f"Among random heads of the same layers they rank p = {test.ranking.p:.2g}."
    between = Table("between", table, title="Mean attention between named positions")
    on_discovery = direct.only(chosen.rows).where(chosen.discovery)
    report = Report.of(
        test,
        f"From END the {len(heads)} heads of {model.name} with the largest direct effects give named "
        f"words {given.value:.2f} of their attention on {test.fresh.task.n} held-out prompts, where an even "
        f"spread would give {spread.value:.2f}; {shown.strongest(table)} on the screen. "
        f"{rank if test.ranking.ran else ''}",
        [
            Section(
                "What they attend to from the last token",
                [shown.from_end(run, on_discovery, named)],
            ),
            Section("As numbers", [between, tests.confirmed(test)]),
            Section("On real prompts", [shown.on_prompts(model, run, heads)]),
        ],
        checks=[shown.adds_up(model, run)],
    )
    headlines = [
        estimates.headline("attention on named words, chosen heads", given),
        estimates.headline(EVEN, spread),
        *tests.headlines(test)[2:],
    ]
    return replace(report, headlines=headlines, controls=[*report.controls, *beside])


def tested(model, run, chosen, inner, seed: int):
    """The attention that the chosen heads give to named words, on fresh prompts."""
    screen, heads = chosen.screen, chosen.components
    fresh = screen.task.confirmation
    prompts = whole(fresh, model.device)
    again = prompts.run(model, keep={sites.pattern(head.layer) for head in heads})

    def given(run, heads, task):
        patterns = (attention.patterns(run, [head])[:, 0] for head in heads)
        values = [attention.from_end(each, places(task), inner) for each in patterns]
        return Effects(np.stack(values), heads, task, "of attention")

    on_screen = given(run, screen.components, screen.task)
    confirmed = given(again, heads, fresh)
    spread = attention.from_end(attention.even(model, prompts), places(fresh), inner)
    even = replace(confirmed, values=np.broadcast_to(spread, confirmed.values.shape))
    # Attention has one direction.
    upwards = replace(chosen, screen=on_screen).upwards()
    return upwards.test(confirmed, {EVEN: even}, seed=seed)
