"""Which attention heads does the model need for the task, and does it matter how they are removed?

Method  Replace one head's z at all positions of the clean prompt and measure the logit difference at
        END: `zero` puts zeros, `mean` the mean over other corrupted prompts of the same template,
        position by position, `resample` the value on the paired corrupted prompt. The direct effect
        passes the same replacement along the residual stream alone, final norm computed again; what
        is left of the total is split into later heads, later MLPs and the final norm's new scale. The
        strongest heads are chosen by `resample` on the discovery half of the screen, ranked on its other
        half among random heads of the same layers, and confirmed on fresh prompts beside changes of
        equal norm: in random directions, and along differences of unrelated prompts.
Units   Logits of answer minus wrong, ablated minus clean, mean of templates' means. Negative: the head
        helps. p inverts the interval, corrected (Benjamini–Hochberg) over the heads of one ablation.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593; McGrath et al. 2023, The
        Hydra Effect, arXiv:2307.15771.
Limits  One head at a time: heads that stand in for each other look unimportant. Zero ablation takes
        the model to where it has never been, and depends on where biases are kept.
"""

import numpy as np

from interp import components
from interp.methods import controls
from interp.methods.ablate import ablate
from interp.methods.offsets import offsets
from interp.report import Chart, Check, Formula, Headline, Maps, Report, Section, Series, Table
from interp.study import Count, Heads, study
from interp.views import ablations, figures, judged, scores, tested, tolerance


@study(
    expects="The heads that matter most on the discovery templates matter on held-out ones, more than "
    "random heads of their layers and than changes of equal norm in other directions.",
    task="ioi",
    cost=120,
    sweeps=True,
)
def head_ablation(model, task, *, top: Heads = 10, draws: Count = 1, seed: int = 0) -> Report:
    config = model.config
    heads = components.heads(model)
    names = scores.head_names(config)
    scores.held_apart(task)
    done = ablate(model, task, heads)
    resample = done.effects["resample"]
    chosen = scores.choose(resample, task, min(top, len(heads)))
    best = [heads[row] for row in chosen.rows]
    fresh = task.confirmation
    confirmed = controls.on_fresh_prompts(model, fresh, best, draws=draws, seed=seed)
    test = tested.judge(
        "heads", names, resample, task, chosen, names["layer"].to_numpy(),
        fresh, confirmed.effects, confirmed.controls, seed=seed,
    )  # fmt: skip
    split = offsets(model, task, best, "resample")
    clean, first = float(done.clean.mean()), test.first
    return Report(
        answer=f"Of {len(heads)} heads of {model.name}, {best[0]} matters most to {task.name}: "
        "with its value "
        f"on the corrupted prompt the logit difference of {clean:.2f} changes by {first.effect:+.2f} on "
        f"{fresh.n} held-out prompts. {test.sentence()}",
        verdict=test.verdict,
        headlines=[
            Headline("clean logit difference", clean, "logits", n=task.n),
            *test.headlines(),
        ],
        sections=[
            Section(
                "Every head, removed in different ways",
                [
                    scores.head_maps(done.effects, config.n_layers, note=ablations.mean_note(task)),
                    scores.agreement_table(done.effects),
                    Table(
                        "heads",
                        ablations.every_effect(names, done, task, seed),
                        title="Every head",
                        note=figures.p_note(task, len(heads)),
                    ),
                ],
                intro="Red: the model does worse without the head. Each map has its own scale.",
            ),
            Section(
                "The strongest heads",
                [
                    test.confirmed(),
                    test.per_prompt("Resample ablation, prompt by prompt"),
                    Table(
                        "top_heads",
                        scores.held_out(names, resample, task, chosen, seed),
                        title="The same heads on the held-out half of the screen",
                    ),
                    scores.halves_table(done.effects, chosen, len(best)),
                ],
            ),
            directly(done, split, names, chosen, config.n_layers),
            by_order(names, done, task, config.n_layers, seed),
        ],
        controls=judged.controls([test]),
        checks=[
            *ablations.checks(model, task, done, seed),
            Check(
                "direct + later heads + later MLPs + rescaling − total, logits",
                split.error,
                tolerance.logits(model, task),
            ),
        ],
        not_run=[*test.not_run, *ablations.not_run(task)],
        files=test.files,
    )


def directly(done, split, names, chosen, n_layers: int) -> Section:
    """Direct effect beside total effect, and where the difference comes from for the top heads."""
    total, direct = done.effects["resample"].mean(-1), done.direct["resample"].mean(-1)
    terms = {
        name: getattr(split, name)[:, chosen.held_out].mean(-1)
        for name in ("total", "direct", "later_heads", "later_mlps", "rescaling", "offset")
    }
    repaired = (terms["offset"] > 0) & (terms["direct"] < 0)
    frame = (
        names.iloc[chosen.rows]
        .reset_index(drop=True)
        .assign(**terms, self_repair=np.where(repaired, terms["offset"], np.nan))
    )
    maps = [
        scores.head_map(title, values, n_layers, "logits")
        for title, values in (("direct", direct), ("total − direct", total - direct))
    ]
    return Section(
        "Direct effect, and what comes after",
        [
            Formula("total = direct + later heads + later MLPs + rescaling by the final norm"),
            Maps(maps, note="Resample ablation, as in its map above."),
            Chart(
                "Direct and total effect of every head",
                "scatter",
                [Series("heads", direct, total)],
                "direct effect, logits",
                "total effect, logits",
                note="On the diagonal a head acts on the logits alone; above it, what comes after "
                "raises the logit difference again.",
            ),
            Table(
                "offsets",
                frame,
                title="The strongest heads of the discovery half, on the screen's other half",
                note="self_repair is the offset where the head helped directly and what comes after "
                "makes up for it; elsewhere there is nothing to repair.",
            ),
        ],
    )


def by_order(names, done, task, n_layers: int, seed: int) -> Section:
    orders = scores.orders(task)
    maps = {
        order or "all prompts": done.effects["resample"][:, task.where(order=order)]
        for order in orders
    }
    return Section(
        "Order by order",
        [
            scores.head_maps(maps, n_layers, note="Resample ablation."),
            Table("heads_by_order", ablations.by_order(names, done, task, seed)),
        ],
        intro="The same effects for the prompts of each order by themselves.",
    )
