"""Which heads carry the decision, and whether those chosen on some premises do on others."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from interp.classifiers.opened import Opened
from interp.effects import Test
from interp.effects.test import without_interval
from interp.report import Check, NotRun, Section, Table
from interp.stats import Estimate
from interp.stats.verdict import LEAST_CONFIRMING
from interp.views import effects
from interp.views import tests as shown
from interp.views.estimates import headline
from interp.views.pairs.evidence import SHOWN, Evidence, allowed


def heads(opened: Opened, top: int) -> Evidence:
    """Every head removed by itself, in both ways."""
    zero, mean = opened.removed["zero"], opened.removed["mean"]
    frame = opened.estimates(mean).assign(effect_of_zero=zero.mean())
    frame = frame.sort_values("effect", key=abs, ascending=False)
    row = int(frame.index[0])
    best = mean.components[row]
    first = headline(f"{best}, mean-ablated", mean.interval(opened.seed), opened.unit, at=row)
    error, most = opened.batch_error(), allowed(opened, 1e-3, opened.largest_decision())
    return Evidence(
        Section(
            "Which heads carry it",
            [
                effects.maps({"zero-ablated": zero, "mean-ablated": mean}),
                Table("heads", frame, "Every head, the strongest first", first_rows=SHOWN),
            ],
            intro=f"Mean over the pairs of what is added to the {opened.unit} without the head.",
        ),
        f"The head that counts most is {best}, {float(first.value):+.2f} when mean-ablated.",
        [first],
        checks=[Check("a head in a batch and in a run of its own", error, most)],
    )


def held_out(opened: Opened, top: int) -> Evidence:
    """Heads chosen on every other premise, measured on those between; no verdict from too few."""
    test = opened.test(top)
    found, screen, n = test.confirmation, test.selection.screen, len(test.labels)
    clusters = len(np.unique(screen.task.clusters))
    said = (
        f"No interval and no verdict: {clusters} clusters of pairs that share no sentence, "
        f"{2 * LEAST_CONFIRMING} are needed (--pairs FILE with more, --explain as many)."
    )
    few = "" if found.enough else said
    chosen = found.chosen if found.enough else without_interval(found.chosen)
    words, _ = shown.controls([test])
    unjudged = [NotRun("a verdict on the chosen heads", few)] if few else []
    frame = test.frame
    frame.insert(len(test.selection.names.columns), "chosen", 1)
    return Evidence(
        Section(
            "Heads on premises held out",
            [Table("chosen", frame, "The chosen heads, measured", few, SHOWN)],
            intro=f"The {n} strongest heads are chosen on every other premise and measured on the "
            f"{found.chosen.clusters} between.",
        ),
        "Heads were chosen on every other premise and measured on those between: "
        f"{shown.sentence(test, 'move the decision by').replace('The', 'the', 1)} {few}".strip(),
        [headline("chosen heads on held-out premises", chosen, opened.unit)],
        [words, _controls(test)],
        verdict=test.verdict,
        not_run=[*shown.not_run([test]), *unjudged],
    )


def _controls(test: Test) -> Table:
    """The chosen heads, their directional controls, the differences, and the rank among random sets."""
    found, rank = test.confirmation, test.ranking
    estimates: Mapping[str, Estimate] = {
        "chosen on the other premises": found.chosen,
        **found.controls,
        **{f"chosen − {name}": each for name, each in found.differences.items()},
    }
    rows: list[dict[str, object]] = []
    for name, each in estimates.items():
        each = each if found.enough else without_interval(each)
        ends = {"effect": each.value, "ci_low": each.low, "ci_high": each.high, "p": each.p}
        numbers = {key: np.nan if end is None else float(end) for key, end in ends.items()}
        rows.append({"heads": name, **numbers, "n": each.n})
    name = "chosen on the other premises, held-out mean"
    rows.append({"heads": name, "effect": rank.value, "p": rank.p})
    sets = f"{rank.draws} random sets of as many heads of the same layers"
    ranked = f"p of the last row: the rank among {sets}. " if rank.ran else ""
    columns = ["heads", "effect", "ci_low", "ci_high", "n", "p"]
    return Table(
        "controls",
        pd.DataFrame(rows, columns=columns).astype({"n": "Int64"}),
        title="The chosen heads beside their controls, on held-out premises",
        note=f"Interval: {found.chosen.method}. {ranked}Each head counts in the direction that it had on "
        "the other premises.",
    )
