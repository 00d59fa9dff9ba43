"""Which attention heads does the model need for the task, and does it matter how they are removed?

Method  Replace one head's z at all positions of the clean prompt and measure the logit difference at
        END: `zero` puts zeros, `mean` the mean over the corrupted prompts of the same template,
        position by position, `resample` the value on the paired corrupted prompt. The direct effect
        passes the same replacement along the residual stream alone, final norm computed again; what
        is left of the total is split into later heads, later MLPs and the final norm's new scale. The
        strongest heads are chosen on the discovery half of the templates and estimated on the other.
Units   Logits of answer minus wrong, ablated minus clean, mean over prompts. Negative: the head helps.
        p by flipping the signs of whole templates, corrected (Benjamini–Hochberg) over the heads of
        one ablation.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593; McGrath et al. 2023, The
        Hydra Effect, arXiv:2307.15771.
Limits  One head at a time: heads that stand in for each other look unimportant. Zero ablation takes
        the model to where it has never been, and depends on where biases are kept.
"""

import numpy as np

from interp.lab import Count, Heads, ablations, experiment, figures, scores
from interp.methods import parts
from interp.methods.ablate import ablate, random_changes
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


@experiment(
    expects="The heads that matter most on one half of the templates matter on the other half too, "
    "more than random heads of their layers and than random changes of equal length.",
    task="ioi",
    sweeps=True,
)
def head_ablation(model, task, *, top: Heads = 10, draws: Count = 4, seed: int = 0) -> Report:
    config = model.config
    heads = parts.heads(model)
    names = scores.head_names(config)
    done = ablate(model, task, heads)
    mean = done.effects["mean"]
    chosen = scores.choose(mean, task, min(top, len(heads)))
    best = [heads[row] for row in chosen.rows]
    split = offsets(model, task, best, "mean")
    changes = random_changes(model, task, best, draws, seed)
    contests = [scores.contest("random changes of equal length", mean, chosen, changes, task)]
    others = scores.peers(chosen, names["layer"].to_numpy(), seed)
    if len(others):
        contests.insert(
            0, scores.contest("random heads of the same layers", mean, chosen, mean[others], task)
        )

    top_table = scores.held_out(names, mean, task, chosen, seed)
    first = top_table.iloc[0]
    verdict = scores.verdict(contests)
    clean = float(done.clean.mean())
    agreement = scores.agreement_table(done.effects)
    return Report(
        answer=f"Of {len(heads)} heads of {model.name}, {best[0]} matters most to {task.name}: "
        f"without it the logit difference of {clean:.2f} changes by {first.effect:+.2f} on templates "
        f"that had no say in the choice. The {len(best)} strongest move it by "
        f"{float(contests[0].chosen.value):.2f} each there, the way they did where they were chosen; "
        f"{contests[0].control} by {float(contests[0].controls.value):.2f}.",
        verdict=verdict,
        headlines=[
            Headline("clean logit difference", clean, "logits", n=task.n),
            figures.chosen(f"{best[0]}, mean-ablated", first),
            *(
                figures.headline(f"chosen above {each.control}", each.difference, "logits")
                for each in contests
            ),
        ],
        sections=[
            Section(
                "Every head, removed in three ways",
                [
                    scores.head_maps(done.effects, config.n_layers),
                    agreement,
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
                    *figures.strongest(
                        "top_heads",
                        "Mean ablation",
                        list(map(str, best)),
                        mean,
                        top_table,
                        task,
                        chosen,
                    ),
                    scores.halves_table(done.effects, chosen, len(best)),
                ],
            ),
            directly(done, split, names, chosen, config.n_layers),
            by_order(names, done, task, config.n_layers, seed),
        ],
        controls=[scores.contest_table(contests)],
        checks=[
            *ablations.checks(model, task, done, seed),
            Check(
                "direct + later heads + later MLPs + rescaling − total, logits",
                split.error,
                scores.tolerance(model),
            ),
        ],
    )


def directly(done, split, names, chosen, n_layers: int) -> Section:
    """Direct effect beside total effect, and where the difference comes from for the top heads."""
    total, direct = done.effects["mean"].mean(-1), done.direct["mean"].mean(-1)
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
            Maps(maps, note="Mean ablation. The total is the middle map above."),
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
                title="The strongest heads of the discovery half, on the other half",
                note="self_repair is the offset where the head helped directly and what comes after "
                "makes up for it; elsewhere there is nothing to repair.",
            ),
        ],
    )


def by_order(names, done, task, n_layers: int, seed: int) -> Section:
    orders = scores.orders(task)
    maps = {
        order or "all prompts": done.effects["mean"][:, task.where(order=order)] for order in orders
    }
    return Section(
        "Order by order",
        [
            scores.head_maps(maps, n_layers, note="Mean ablation."),
            Table("heads_by_order", ablations.by_order(names, done, task, seed)),
        ],
        intro="The same effects for the prompts of each order by themselves.",
    )
