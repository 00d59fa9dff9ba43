"""Which heads write the answer to the logits, and who tells them what to look for and what to copy?

Method  Path patching, from the end backwards. First every head and MLP sends what it writes on the
        corrupted prompt to the logits alone. Then, for the heads with the strongest direct paths, every
        earlier part sends it into their queries, keys and values at END, and everything after the
        receiver is computed again. All heads off a path are held at the clean run; MLPs on it are
        recomputed or held, and every table says which. Heads that share keys and values do not share
        the change: the receiver reads a private copy, recomputed for it alone. Receivers and strongest
        paths are chosen on the discovery half of the screen, ranked on its other half among random senders
        of the same layers, and confirmed on fresh prompts beside senders moved as far in other directions.
Units   Logits of answer minus wrong, patched minus clean, mean of templates' means. Negative: the path
        helps. p inverts the interval, corrected (Benjamini–Hochberg) over the paths to the logits, and over
        those into all chosen heads.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593; Goldowsky-Dill et al. 2023,
        Localizing Model Behavior with Path Patching, arXiv:2304.05969.
Limits  One sender at a time: senders that stand in for each other look unimportant. Two levels: who
        feeds the senders is not asked. What both prompts of a pair share cannot show.
"""

from typing import Literal

import numpy as np
import pandas as pd

from interp import components
from interp.components import MLP, Head, Logits
from interp.methods.batches import by_length
from interp.methods.carry import needed
from interp.methods.moves import WAYS
from interp.methods.naive_path import naive_path
from interp.methods.paths import all_senders, paths
from interp.methods.receivers import Receiver
from interp.report import Chart, Check, Heatmap, Maps, Report, Section, Series, Table
from interp.study import Count, Heads, study
from interp.views import judged, scores, tested, tolerance

COLUMNS = ["receiver", "input", "sender_kind", "layer", "head", "effect", "ci_low", "ci_high"]
END = "END"


@study(
    expects="The heads with the strongest direct paths to the logits, and the strongest paths into their "
    "queries, keys and values, are found again on held-out templates, above random senders of "
    "the same layers "
    "and above changes of equal norm in other directions.",
    task="ioi",
    cost=200,
    default=False,
)
def path_patching(
    model,
    task,
    *,
    receivers: Heads = 3,
    top: Count = 8,
    mlps: Literal["recomputed", "frozen"] = "recomputed",
    seed: int = 0,
) -> Report:
    scores.held_apart(task)
    senders = all_senders(model)
    other = "frozen" if mlps == "recomputed" else "recomputed"
    to_logits = [Receiver(Logits(), "logits")]
    direct = {each: paths(model, task, senders, to_logits, each) for each in (mlps, other)}
    heads = components.heads(model)
    effects = direct[mlps].effects[0][: len(heads)]
    chosen = scores.choose(effects, task, min(receivers, len(heads)))
    best = [heads[row] for row in chosen.rows]

    inputs = [Receiver(head, which, at=END) for head in best for which in ("q", "k", "v")]
    into = paths(model, task, senders, inputs, mlps)
    reached = np.array([[sender.layer < each.layer for sender in senders] for each in inputs])
    cells, flat = np.argwhere(reached), into.effects[reached]
    names = named(inputs, senders)[reached.ravel()]
    final = named(to_logits, senders)
    strongest = scores.choose(flat, task, min(top, len(flat))) if len(flat) else None

    fresh = task.confirmation
    ends = np.array([[0, row] for row in range(len(heads))])
    to_ends = against(
        "heads to the logits", direct[mlps], ends, chosen, final[: len(heads)], model, task, fresh, seed
    )  # fmt: skip
    tests = [to_ends]
    if strongest is not None:
        tests.append(
            against("paths into heads", into, cells, strongest, names, model, task, fresh, seed)
        )
    top_direct = scores.held_out(final[: len(heads)], effects, task, chosen, seed)
    frames = {each: scores.estimates(final, direct[each].effects[0], task, seed) for each in direct}
    every = [frames[each].assign(mlps=each) for each in frames]
    orders = [scores.by_order(final, direct[mlps].effects[0], task, seed)]
    sections = [to_the_logits(direct, chosen, to_ends, model.config, top_direct)]
    answer = (
        f"Of {len(heads)} heads of {model.name}, {listed(best)} act most on the logits directly"
    )
    headlines = to_ends.headlines()
    if strongest is not None:
        every.append(scores.estimates(names, flat, task, seed).assign(mlps=mlps))
        orders.append(scores.by_order(names, flat, task, seed))
        found = scores.held_out(names, flat, task, strongest, seed)
        sections.append(into_heads(into, inputs, best, model.config, found, tests[1]))
        lead = tests[1].first
        answer += f"; into them, the strongest path is {words(lead)} ({lead.effect:+.2f} logits)"
        headlines += tests[1].headlines()
    sections.append(
        Section(
            "Order by order",
            [Table("paths_by_order", pd.concat(orders, ignore_index=True).assign(mlps=mlps))],
            intro="The same paths for the prompts of each order by themselves.",
        )
    )
    table = pd.concat(every, ignore_index=True)[[*COLUMNS, "p_corrected", "mlps"]]
    sections.append(Section("Every path", [Table("paths", table)]))
    return Report(
        answer=answer + f", on {fresh.n} held-out prompts. MLPs on the way are {mlps}.",
        verdict=judged.verdict(tests),
        headlines=headlines,
        sections=sections,
        controls=judged.controls(tests),
        not_run=judged.not_run(tests),
        files=judged.files(tests),
        checks=[
            Check(
                "paths and whole runs with all else held, random paths, logits",
                worst_error(model, task, senders, direct, into, seed),
                tolerance.logits(model, task),
            ),
            scores.split_halves(task),
        ],
    )


def named(receivers, senders) -> pd.DataFrame:
    """One row a receiver and sender."""
    rows = [
        [
            str(receiver),
            receiver.input,
            sender.kind,
            sender.layer,
            sender.index,
        ]
        for receiver in receivers
        for sender in senders
    ]
    return pd.DataFrame(rows, columns=COLUMNS[:5]).astype({"head": "Int64"})


def listed(heads) -> str:
    *others, last = map(str, heads)
    return f"{', '.join(others)} and {last}" if others else last


def words(row) -> str:
    """A path as people say it: `L22H4 → q of L23H3`."""
    layer, head = row["layer"], row["head"]
    sender = MLP(layer) if pd.isna(head) else Head(layer, head)
    if row["input"] == "logits":
        return f"{sender} → logits"
    return f"{sender} → {row['input']} of {row['receiver']}"


def against(what: str, done, cells, chosen, names, model, task, fresh, seed: int) -> tested.Tested:
    """The chosen paths (`cells`: receiver and sender of each) put to the test on fresh prompts."""
    picked = cells[chosen.rows]
    best = [done.senders[sender] for sender in picked[:, 1]]
    at = (picked[:, 0], np.arange(len(best)))
    effects = paths(model, fresh, best, done.receivers, done.mlps).effects[at]
    moved = {
        name: paths(model, fresh, best, done.receivers, done.mlps, way, seed).effects[at]
        for way, name in WAYS.items()
    }
    layers = np.array([done.senders[sender].layer for sender in cells[:, 1]])
    labels = [words(row) for row in names.iloc[chosen.rows].to_dict("records")]
    return tested.judge(
        what, names, done.effects[cells[:, 0], cells[:, 1]], task, chosen,
        layers + cells[:, 0] * (1 + layers.max()), fresh, effects, moved,
        matched="of the same layers and receivers", labels=labels, seed=seed,
    )  # fmt: skip


def to_the_logits(direct, chosen, test, config, table) -> Section:
    """The first level: every part's path to the logits, MLPs recomputed and held."""
    n_heads = config.n_layers * config.n_heads
    maps = {f"MLPs {name}": done.effects[0][:n_heads] for name, done in direct.items()}
    blocks = [scores.head_maps(maps, config.n_layers)]
    if config.d_mlp:
        series = [
            Series(f"MLPs {name}", range(config.n_layers), done.effects[0][n_heads:].mean(-1))
            for name, done in direct.items()
        ]
        blocks.append(Chart("Every MLP's path to the logits", "bar", series, "layer", "logits"))
    blocks += [
        test.confirmed(),
        test.per_prompt("Direct paths, prompt by prompt"),
        Table("top_direct", table, title="The same heads on the held-out half of the screen"),
        scores.halves_table(maps, chosen, len(chosen.rows)),
    ]
    return Section(
        "From every head and MLP straight to the logits",
        blocks,
        intro="Red: what the part writes for the clean prompt helps, without the help of other heads. "
        "Each map has its own scale.",
    )


def into_heads(into, inputs, best, config, table, test) -> Section:
    """The second level: into the queries, keys and values of each chosen head."""
    n_heads = config.n_layers * config.n_heads
    means = into.effects.mean(-1)
    blocks = []
    for rank, head in enumerate(best):
        rows = range(3 * rank, 3 * rank + 3)
        maps = [
            Heatmap(
                f"into {inputs[row].input} of {head}",
                means[row, :n_heads].reshape(config.n_layers, -1),
                "layer",
                "head",
                unit="logits",
            )
            for row in rows
        ]
        blocks.append(Maps(maps, note=f"At END, MLPs on the way {into.mlps}."))
        if config.d_mlp:
            series = [
                Series(inputs[row].input, range(config.n_layers), means[row, n_heads:])
                for row in rows
            ]
            title = f"Every MLP's paths into {head}"
            blocks.append(Chart(title, "bar", series, "layer of the MLP", "logits"))
    blocks += [
        test.confirmed("confirmed_paths"),
        test.per_prompt("Strongest paths, prompt by prompt"),
        Table("top_paths", table, title="The same paths on the held-out half of the screen"),
    ]
    return Section(
        "Into the strongest heads",
        blocks,
        intro="Which earlier parts decide what a head looks for (q), what it finds (k), and what it "
        "takes from there (v). Layers from the receiver's on cannot reach it.",
    )


def worst_error(model, task, senders, direct, into, seed: int) -> float:
    """Random paths of both levels beside whole runs with everything else held."""
    random, worst = np.random.default_rng(seed), 0.0
    batch = by_length(task, model.device)[0]
    new = model.run(batch.corrupted, keep=needed(model, senders)).cache
    for done in [*direct.values(), into]:
        receiver = int(random.integers(len(done.receivers)))
        layer = done.receivers[receiver].layer
        before = [i for i, s in enumerate(senders) if layer is None or s.layer < layer]
        if before:
            sender = int(random.choice(before))
            whole = naive_path(
                model, batch, senders[sender], done.receivers[receiver], new, done.mlps
            )
            ours = done.effects[receiver, sender][list(batch.indices)]
            worst = max(worst, float(np.abs(whole.double().cpu().numpy() - ours).max()))
    return worst
