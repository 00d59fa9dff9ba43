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
from interp.errors import NotApplicable
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.methods.offsets import offsets
from interp.report import (
    Chart,
    Check,
    Formula,
    Headline,
    Maps,
    Report,
    Section,
    Series,
    Table,
)
from interp.study import Components, Heads, study
from interp.views import figures, judged, scores, tested, tolerance

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
    scores.held_apart(task)
    config = model.config
    heads = components.heads(model)
    names = scores.head_names(config)
    every = ablate(model, task, heads, ("resample",))
    direct = every.direct["resample"]
    chosen = helpful(direct, task, top)
    best, fresh = [heads[row] for row in chosen.rows], task.confirmation
    done = offsets(model, task, best, "resample")
    total = controls.on_fresh_prompts(model, fresh, best, seed=seed)
    directly = controls.directly_on_fresh_prompts(model, fresh, best, seed=seed)
    # An offset counts upwards, whichever way it went where the heads were chosen.
    upwards = replace(chosen, signs=np.ones_like(chosen.signs))
    test = tested.judge(
        "heads' offsets", names, every.effects["resample"] - direct, task, upwards,
        names["layer"].to_numpy(), fresh, total.effects - directly.effects,
        {name: each - directly.controls[name] for name, each in total.controls.items()},
        labels=list(map(str, best)), directed=np.ones_like(direct), seed=seed,
    )  # fmt: skip

    offset = test.confirmation.chosen
    share = stats.ratio_of_means(
        test.effects.mean(0), -directly.effects.mean(0), fresh.clusters, seed=seed
    )
    repaired = offset.value > 0 and directly.effects.mean() < 0
    table = split_table(names, done, task, chosen, seed)
    return Report(
        answer=f"Ablating one of the {len(best)} heads of {model.name} that write most of the answer "
        f"has a direct effect of {directly.effects.mean():+.2f} logits on average on {fresh.n} "
        "held-out prompts, "
        f"and what comes after adds {float(offset.value):+.2f}"
        + (f": {float(share.value):.0%} of the loss is made up for." if repaired else "."),
        verdict=test.verdict,
        headlines=[
            *test.headlines(),
            figures.headline(
                "offset / −direct", share, note="ratio of means; positive: made up for"
            ),
            Headline(
                "heads with a positive offset",
                f"{int((test.each.value > 0).sum())} of {len(best)}",
            ),
        ],
        sections=[
            Section(
                "Each head, ablated",
                [
                    Formula(
                        "total = direct + later heads + later MLPs + rescaling by the final norm"
                    ),
                    Chart(
                        "What comes after",
                        "stacked",
                        [
                            Series(
                                term.replace("_", " "), list(map(str, best)), table[term].to_numpy()
                            )
                            for term in TERMS
                        ],
                        "ablated head, the strongest direct effect first",
                        "part of the offset, logits",
                    ),
                    Table(
                        "self_repair",
                        table,
                        first_rows=len(best),
                        title="On the held-out half of the screen",
                        note=figures.p_note(task.only(chosen.held_out), len(best)),
                    ),
                    test.confirmed(),
                    test.per_prompt("Offset, prompt by prompt"),
                ],
                intro="Above zero: later parts raise the logit difference again.",
            ),
            responses(done, best, chosen, config, responders),
            Section(
                "Order by order",
                [
                    Table(
                        "offsets_by_order",
                        scores.by_order(names.iloc[chosen.rows], done.offset, task, seed),
                        title="Offset, all prompts of an order",
                    )
                ],
            ),
        ],
        controls=judged.controls([test]),
        not_run=test.not_run,
        files=test.files,
        checks=[
            Check(
                "direct + later heads + later MLPs + rescaling − total, logits",
                done.error,
                tolerance.logits(model, task),
            ),
            scores.split_halves(task),
        ],
    )


def helpful(direct: np.ndarray, task, top: int) -> scores.Chosen:
    """The heads whose ablation costs most directly, on the discovery half.

    Raises  NotApplicable if no head's does.
    """
    every = scores.choose(direct, task, len(direct))
    rows = every.rows[every.signs[every.rows] < 0][:top]
    if not len(rows):
        raise NotApplicable("no head writes towards the answer, so there is nothing to repair")
    return replace(every, rows=rows)


def split_table(names, done, task, chosen, seed: int) -> pd.DataFrame:
    """self_repair.csv: a row an ablated head, means and the offset's interval on the held-out half."""
    inside = chosen.held_out
    found = stats.table(done.offset[:, inside], task.clusters[inside], seed=seed)
    terms = {name: getattr(done, name)[:, inside].mean(-1) for name in ("total", "direct", *TERMS)}
    frame = names.iloc[chosen.rows].reset_index(drop=True).assign(**terms)
    columns = ["ci_low", "ci_high", "p_corrected", "n"]
    frame = frame.assign(offset=found["effect"], **{name: found[name] for name in columns})
    repaired = (frame["offset"] > 0) & (frame["direct"] < 0)
    return frame.assign(
        self_repair=frame["offset"].where(repaired),
        share_repaired=(-frame["offset"] / frame["direct"]).where(repaired),
    )


def responses(done, best, chosen, config, number: int) -> Section:
    """Which later heads and MLPs write what they did not write before."""
    inside = chosen.held_out
    before, after = (each[:, :, inside].mean(-1) for each in (done.before, done.after))
    change = after - before
    rows = []
    for row, head in enumerate(best):
        later = [
            index
            for index, writer in enumerate(done.writers)
            if writer.layer > head.layer or (writer.layer == head.layer and writer.kind == "mlp")
        ]
        for index in sorted(later, key=lambda each: -abs(change[row, each]))[:number]:
            writer = done.writers[index]
            named = [str(head), writer.kind, writer.layer, writer.index]
            rows.append([*named, before[row, index], after[row, index]])
    frame = pd.DataFrame(
        rows, columns=["ablated", "responds", "layer", "head", "before", "after"]
    ).astype({"head": "Int64"})
    n_heads = config.n_layers * config.n_heads
    own = [done.writers.index(head) for head in best]
    reacting = change.copy()
    reacting[np.arange(len(best)), own] = 0.0
    blocks = [
        Maps(
            [
                scores.head_map(
                    "Change of each head's direct contribution",
                    reacting[:, :n_heads].mean(0),
                    config.n_layers,
                    "logits",
                )
            ],
            note="Mean over the ablated heads, each head's own change left out.",
        )
    ]
    if config.d_mlp:
        mean = reacting[:, n_heads:].mean(0)
        blocks.append(
            Chart(
                "Change of each MLP's direct contribution",
                "bar",
                [Series("mean over the ablated heads", range(config.n_layers), mean)],
                "layer",
                "logits",
            )
        )
    blocks.append(
        Table(
            "responders",
            frame.assign(change=frame["after"] - frame["before"]),
            title="Direct effects before and after",
            note="Both read with the scale of the final norm that the direct change leaves.",
        )
    )
    return Section("Who responds", blocks)
