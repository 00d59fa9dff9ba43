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
from interp.effects import Effects, Test
from interp.methods.moves import WAYS
from interp.methods.naive_path import naive_path
from interp.methods.paths import all_senders, paths
from interp.methods.propagation import needed
from interp.methods.receivers import Receiver
from interp.report import Chart, Check, Heatmap, Maps, Section, Series, Table
from interp.study import Count, Heads, Report, study
from interp.tasks.batches import by_length
from interp.views import effects, tests, tolerance

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
    senders, heads = all_senders(model), components.heads(model)
    other = "frozen" if mlps == "recomputed" else "recomputed"
    to_logits = [Receiver(Logits(), "logits")]
    direct = {each: paths(model, task, senders, to_logits, each) for each in (mlps, other)}
    to_ends = {name: labelled(done, every_cell(done), task) for name, done in direct.items()}
    chosen = to_ends[mlps].only(slice(len(heads))).select(receivers)
    best = [heads[row] for row in chosen.rows]

    inputs = [Receiver(head, which, at=END) for head in best for which in ("q", "k", "v")]
    into = paths(model, task, senders, inputs, mlps)
    cells = [
        (row, column)
        for row, each in enumerate(inputs)
        for column, sender in enumerate(senders)
        if sender.layer < each.layer
    ]
    held = [against("heads to the logits", chosen, model, direct[mlps], seed)]
    every, orders = dict(to_ends), [to_ends[mlps]]
    sections = [to_the_logits(to_ends, chosen, held[0], model.config, seed)]
    answer = (
        f"Of {len(heads)} heads of {model.name}, {listed(best)} act most on the logits directly"
    )
    if cells:
        inner = labelled(into, cells, task)
        strongest = inner.select(top)
        held.append(against("paths into heads", strongest, model, into, seed))
        orders.append(inner)
        sections.append(into_heads(into, inputs, best, model.config, strongest, held[1], seed))
        lead = held[1].first
        answer += f"; into them, the strongest path is {words(lead)} ({lead.effect:+.2f} logits)"
    frames = [each.frame(seed).assign(mlps=name) for name, each in every.items()]
    frames += [each.frame(seed).assign(mlps=mlps) for each in orders[1:]]
    variants = [effects.by_variant(each, "paths", seed=seed).frame for each in orders]
    table = pd.concat(frames, ignore_index=True)[[*COLUMNS, "p_corrected", "mlps"]]
    sections += [
        Section(
            "Order by order",
            [Table("paths_by_order", pd.concat(variants, ignore_index=True).assign(mlps=mlps))],
            intro="The same paths for the prompts of each order by themselves.",
        ),
        Section("Every path", [Table("paths", table)]),
    ]
    return Report.of(
        held,
        f"{answer}, on {held[0].fresh.task.n} held-out prompts. MLPs on the way are {mlps}.",
        sections,
        headlines=[each for test in held for each in tests.headlines(test)],
        checks=[
            Check(
                "paths and whole runs with all else held, random paths, logits",
                worst_error(model, task, senders, direct, into, seed),
                tolerance.logits(model, task),
            ),
            effects.splits(task),
        ],
    )


def every_cell(done) -> list[tuple[int, int]]:
    return [
        (row, column) for row in range(len(done.receivers)) for column in range(len(done.senders))
    ]


def labelled(done, cells, task) -> Effects:
    """These paths (receiver and sender of each), named as tables name them; alike are those of one
    receiver whose senders are of one layer."""
    rows, columns = np.array(cells).T
    layers = np.array([done.senders[column].layer for column in columns])
    return Effects(
        done.effects[rows, columns],
        cells,
        task,
        strata=layers + rows * (1 + layers.max()),
        named=named(done.receivers, done.senders, cells),
    )


def named(receivers, senders, cells) -> pd.DataFrame:
    """One row a receiver and sender."""
    rows = [
        [
            str(receivers[row]),
            receivers[row].input,
            senders[column].kind,
            senders[column].layer,
            senders[column].index,
        ]
        for row, column in cells
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


def against(what: str, chosen, model, done, seed: int) -> Test:
    """The chosen paths put to the test on fresh prompts."""
    fresh, names = chosen.screen.task.confirmation, chosen.names
    picked = np.array(chosen.components)
    best = [done.senders[sender] for sender in picked[:, 1]]
    at = (picked[:, 0], np.arange(len(best)))

    def measured(way=None) -> Effects:
        found = paths(model, fresh, best, done.receivers, done.mlps, way, seed)
        return Effects(found.effects[at], chosen.components, fresh, named=names)

    return chosen.test(
        measured(),
        {name: measured(way) for way, name in WAYS.items()},
        what=what,
        matched="of the same layers and receivers",
        labels=[words(row) for row in names.to_dict("records")],
        seed=seed,
    )


def to_the_logits(to_ends, chosen, test, config, seed: int) -> Section:
    """The first level: every part's path to the logits, MLPs recomputed and frozen."""
    n_heads = config.n_layers * config.n_heads
    heads = {f"MLPs {name}": each.only(slice(n_heads)) for name, each in to_ends.items()}
    blocks = [effects.maps(heads)]
    if config.d_mlp:
        series = [
            Series(f"MLPs {name}", range(config.n_layers), each.mean()[n_heads:])
            for name, each in to_ends.items()
        ]
        blocks.append(Chart("Every MLP's path to the logits", "bar", series, "layer", "logits"))
    blocks += [
        tests.confirmed(test),
        tests.per_prompt(test, "Direct paths, prompt by prompt"),
        effects.held_out(
            chosen, "top_direct", "The same heads on the held-out half of the screen", seed
        ),
        effects.halves(heads, chosen),
    ]
    return Section(
        "From every head and MLP straight to the logits",
        blocks,
        intro="Red: what the part writes for the clean prompt helps, without the help of other heads. "
        "Each map has its own scale.",
    )


def into_heads(into, inputs, best, config, strongest, test, seed: int) -> Section:
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
        tests.confirmed(test, "confirmed_paths"),
        tests.per_prompt(test, "Strongest paths, prompt by prompt"),
        effects.held_out(
            strongest, "top_paths", "The same paths on the held-out half of the screen", seed
        ),
    ]
    return Section(
        "Into the strongest heads",
        blocks,
        intro="Which earlier parts decide what a head attends by (q), what it finds (k), and what it "
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
