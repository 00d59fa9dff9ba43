"""When a head that writes the answer is ablated, do later parts of the model make up for it?

Method  Choose, on the discovery half of the screen, the heads whose resample ablation lowers the logit
        difference most directly (the replacement passed along the residual stream alone, final norm
        computed again). Ablate each at all positions and measure the total effect at END. The offset,
        total − direct, is what later heads write differently, plus what later MLPs write differently,
        plus the final norm's new scale: three terms that add up exactly. Only a positive offset is
        self-repair. The chosen heads' mean offset is ranked on the other half of the screen among random
        heads of the same layers, and confirmed on fresh prompts beside the offsets of changes of equal
        norm in other directions. Every later head's and MLP's direct contribution is shown before and
        after.
Units   Logits of answer minus wrong, ablated minus clean, mean of templates' means. p inverts the
        interval, corrected (Benjamini–Hochberg) over the heads chosen.
Source  McGrath et al. 2023, The Hydra Effect, arXiv:2307.15771; Rushing & Nanda 2024, Explorations of
        Self-Repair in Language Models, arXiv:2402.15390.
Limits  An offset says that later parts react, not that they are there to. A direct effect depends on
        what the head is replaced by: here by its value on the corrupted prompt.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from interp import components, stats
from interp.components import MLP
from interp.effects import Effects
from interp.errors import NotApplicable
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.methods.offsets import offsets
from interp.report import Chart, Check, Formula, Headline, Maps, Section, Series, Table
from interp.study import Components, Heads, Report, study
from interp.views import effects, figures, tests, tolerance

TERMS = ("later_heads", "later_mlps", "rescaling")


@study(
    expects="Later parts make up for some of what an ablated head did: over the heads that write most of "
    "the answer directly, the offset is positive on held-out templates, above that of random heads of their "
    "layers and of changes of equal norm in other directions.",
    task="ioi",
    cost=90,
    sweeps=True,
    default=False,
)
def self_repair(
    model, task, *, top: Heads = 10, responders: Components = 5, seed: int = 0
) -> Report:
    every = ablate(model, task, components.heads(model), ("resample",))
    direct = every.direct["resample"]
    chosen = helpful(direct, top)
    done = offsets(model, task, chosen.components, "resample")
    total, directly = (
        measure(model, task.confirmation, chosen.components, seed=seed)
        for measure in (controls.on_fresh_prompts, controls.directly_on_fresh_prompts)
    )
    fresh = total - directly
    # An offset counts upwards, whichever way it went where the heads were chosen.
    offset = replace(chosen, screen=every.effects["resample"] - direct).upwards()
    ones = replace(direct, values=np.ones_like(direct.values))
    test = offset.test(
        fresh.effects, fresh.controls, what="heads' offsets", directed=ones, seed=seed
    )
    share = stats.ratio_of_means(
        fresh.effects.values.mean(0),
        -directly.effects.values.mean(0),
        test.fresh.task.clusters,
        seed=seed,
    )
    lost, added = directly.effects.values.mean(), float(test.confirmation.chosen.value)
    repaired = added > 0 and lost < 0
    table = split_table(done, chosen, seed)
    return Report.of(
        test,
        f"Ablating one of the {len(chosen)} heads of {model.name} that write most of the answer has a "
        f"direct effect of {lost:+.2f} logits on average on {test.fresh.task.n} held-out prompts, "
        f"and what comes after adds {added:+.2f}"
        + (f": {float(share.value):.0%} of the loss is made up for." if repaired else "."),
        [
            each_head(table, test, chosen, seed),
            responses(done, chosen, model.config, responders),
            Section(
                "Order by order",
                [
                    effects.by_variant(
                        Effects(done.offset, chosen.components, task),
                        "offsets_by_order",
                        "Offset, all prompts of an order",
                        seed=seed,
                    )
                ],
            ),
        ],
        figures=[
            figures.headline(
                "offset / −direct", share, note="ratio of means; positive: made up for"
            ),
            Headline(
                "heads with a positive offset",
                f"{int((test.each.value > 0).sum())} of {len(chosen)}",
            ),
        ],
        checks=[
            Check(
                "direct + later heads + later MLPs + rescaling − total, logits",
                done.error,
                tolerance.logits(model, task),
            ),
            effects.splits(task),
        ],
    )


def helpful(direct: Effects, top: int):
    """The heads whose ablation costs most directly, on the discovery half.

    Raises  NotApplicable if no head's does.
    """
    every = direct.select(len(direct))
    rows = every.rows[every.signs[every.rows] < 0][:top]
    if not len(rows):
        raise NotApplicable("no head writes towards the answer, so there is nothing to repair")
    return replace(every, rows=rows)


def split_table(done, chosen, seed: int) -> pd.DataFrame:
    """self_repair.csv: a row an ablated head, means and the offset's interval on the held-out half."""
    inside = chosen.held_out
    offset = Effects(done.offset, chosen.components, chosen.screen.task).where(inside)
    found = stats.table(offset.values, offset.task.clusters, seed=seed)
    terms = {name: getattr(done, name)[:, inside].mean(-1) for name in ("total", "direct", *TERMS)}
    columns = ["ci_low", "ci_high", "p_corrected", "n"]
    frame = offset.names.assign(**terms, offset=found["effect"])
    frame = frame.assign(**{name: found[name] for name in columns})
    repaired = (frame["offset"] > 0) & (frame["direct"] < 0)
    return frame.assign(
        self_repair=frame["offset"].where(repaired),
        share_repaired=(-frame["offset"] / frame["direct"]).where(repaired),
    )


def each_head(table, test, chosen, seed: int) -> Section:
    held_out = chosen.screen.task.only(chosen.held_out)
    return Section(
        "Each head, ablated",
        [
            Formula("total = direct + later heads + later MLPs + rescaling by the final norm"),
            Chart(
                "What comes after",
                "stacked",
                [
                    Series(term.replace("_", " "), list(test.labels), table[term].to_numpy())
                    for term in TERMS
                ],
                "ablated head, the strongest direct effect first",
                "part of the offset, logits",
            ),
            Table(
                "self_repair",
                table,
                first_rows=len(table),
                title="On the held-out half of the screen",
                note=effects.p_note(held_out, len(table)),
            ),
            tests.confirmed(test),
            tests.per_prompt(test, "Offset, prompt by prompt"),
        ],
        intro="Above zero: later parts raise the logit difference again.",
    )


def responses(done, chosen, config, number: int) -> Section:
    """Which later heads and MLPs write what they did not write before."""
    before, after = (each[:, :, chosen.held_out].mean(-1) for each in (done.before, done.after))
    change = after - before
    rows = []
    for row, ablated in enumerate(chosen.components):
        later = [
            index
            for index, each in enumerate(done.writers)
            if each.layer > ablated.layer or (each.layer == ablated.layer and isinstance(each, MLP))
        ]
        for index in sorted(later, key=lambda each: -abs(change[row, each]))[:number]:
            each = done.writers[index]
            found = [str(ablated), each.kind, each.layer, each.index]
            rows.append([*found, before[row, index], after[row, index]])
    frame = pd.DataFrame(
        rows, columns=["ablated", "responds", "layer", "head", "before", "after"]
    ).astype({"head": "Int64"})
    own = [done.writers.index(each) for each in chosen.components]
    change[np.arange(len(chosen)), own] = 0.0
    mean, n_heads = change.mean(0), config.n_layers * config.n_heads
    title = "Change of each {}'s direct contribution"
    blocks = [
        Maps(
            [effects.head_map(title.format("head"), mean[:n_heads], config.n_layers, "logits")],
            note="Mean over the ablated heads, each head's own change left out.",
        )
    ]
    if config.d_mlp:
        series = [Series("mean over the ablated heads", range(config.n_layers), mean[n_heads:])]
        blocks.append(Chart(title.format("MLP"), "bar", series, "layer", "logits"))
    blocks.append(
        Table(
            "responders",
            frame.assign(change=frame["after"] - frame["before"]),
            title="Direct effects before and after",
            note="Both read with the scale of the final norm that the direct change leaves.",
        )
    )
    return Section("Who responds", blocks)
