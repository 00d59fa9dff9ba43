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
See     `circuit` asks the same of every edge at once, and whether the ones it keeps suffice.
Limits  One sender at a time: senders that stand in for each other look unimportant. Two levels: who
        feeds the senders is not asked. What both prompts of a pair share cannot show.
"""

from typing import Literal

from interp import components
from interp.components import Logits
from interp.methods.naive_path import worst_error
from interp.methods.paths import all_senders, confirm, paths
from interp.methods.propagation import Receiver
from interp.report import Section
from interp.study import Count, Heads, Report, study
from interp.views import chosen, effects, tolerance
from interp.views.tests import headlines, listed


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
    both = [mlps, "frozen" if mlps == "recomputed" else "recomputed"]
    to_logits = [Receiver(Logits(), "logits")]
    direct = {each: paths(model, task, senders, to_logits, each) for each in both}
    writing = direct[mlps].effects.only(slice(len(heads))).select(receivers)
    best = [path.sender for path in writing.components]
    ends = [Receiver(head, which, at="END") for head in best for which in ("q", "k", "v")]
    into = paths(model, task, senders, ends, mlps)

    tests = [confirm(model, writing, "heads to the logits", mlps, seed)]
    sections = [to_the_logits(direct, senders, tests[0])]
    measured = [(name, each.effects) for name, each in direct.items()]
    said = f"Of {len(heads)} heads of {model.name}, {listed(best)} act most on the logits directly"
    if len(inner := into.possible):
        tests.append(confirm(model, inner.select(top), "paths into heads", mlps, seed))
        sections.append(into_heads(into, best, tests[1]))
        measured.append((mlps, inner))
        strongest, lead = tests[1].labels[0], tests[1].first.effect
        said += f"; into them, the strongest path is {strongest} ({lead:+.2f} logits)"
    by_order = [measured[0], *measured[2:]]
    worst = worst_error(model, task, [*direct.values(), into], seed)
    return Report.of(
        tests,
        f"{said}, on {tests[0].fresh.task.n} held-out prompts. MLPs on the way are {mlps}.",
        [
            *sections,
            Section(
                "Order by order",
                [effects.by_variant(by_order, "paths_by_order", column="mlps", seed=seed)],
                intro="The same paths for the prompts of each order by themselves.",
            ),
            Section("Every path", [effects.every(measured, "paths", column="mlps", seed=seed)]),
        ],
        headlines=[each for test in tests for each in headlines(test)],
        checks=[
            tolerance.at_logits(
                "paths and whole runs with all else held, random paths, logits", worst, model, task
            ),
            effects.splits(task),
        ],
    )


def to_the_logits(direct, senders, test) -> Section:
    """The first level: every component's path to the logits, MLPs recomputed and frozen."""
    kinds = {f"MLPs {name}": each.effects for name, each in direct.items()}
    values = {name: each.values for name, each in kinds.items()}
    cells = effects.cells_note(test.selection.screen.task)
    heads = {name: each.only(slice(len(test.selection.screen))) for name, each in kinds.items()}
    return Section(
        "From every head and MLP straight to the logits",
        [
            *effects.of_writers(senders, values, "Every {}'s path to the logits", note=cells),
            *chosen.blocks(test, "top_direct", heads, "Direct paths, prompt by prompt"),
        ],
        intro="Red: what the part writes for the clean prompt helps, without the help of other heads. "
        "Each map has its own scale.",
    )


def into_heads(into, best, test) -> Section:
    """The second level: into the queries, keys and values of each chosen head."""
    shown = []
    for head in best:
        ends = [each for each in into.receivers if each.component == head]
        means = {f"into {each.input}": into.into(each).mean() for each in ends}
        note = f"At END, MLPs on the way {into.mlps}."
        shown += effects.of_writers(
            into.senders, means, f"Every {{}}'s paths into {head}", note=note
        )
    strongest = chosen.blocks(
        test, "top_paths", {}, "Strongest paths, prompt by prompt", confirmed="confirmed_paths"
    )
    return Section(
        "Into the strongest heads",
        [*shown, *strongest],
        intro="Which earlier parts decide what a head attends by (q), what it finds (k), and what it "
        "takes from there (v). Layers from the receiver's on cannot reach it.",
    )
