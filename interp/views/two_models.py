"""A model beside what its training began with, as the blocks of a report."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from interp import stats
from interp.components import Component
from interp.effects import Effects
from interp.methods.ablate import Ablation
from interp.methods.attribute import Attribution
from interp.report import Chart, Check, Headline, Maps, Series, Table
from interp.tasks import Task
from interp.tasks.validity import LEAST_ACCURACY
from interp.transformer import Transformer
from interp.views import ablations, effects, estimates, tolerance

Models = Mapping[str, Transformer]
Moved = Mapping[Component, float]
Sides = Mapping[str, Effects]
DIFFERENCE = "after − before"


def models(sides: Models, done: Mapping[str, Ablation], seed: int = 0) -> Table:
    """Both models and how they do on the task."""
    clean = {side: each.clean for side, each in done.items()}
    task = next(iter(done["after"].effects.values())).task
    found = {
        (side, each.name): stats.mean(clean[side], task.clusters, seed=seed)
        for side, each in sides.items()
    }
    frame = estimates.frame(found, ("model", "name"), "logit_difference")
    frame.insert(5, "share_right", [float((clean[side] > 0).mean()) for side in sides])
    frame["weights_sha256"] = [each.origin.weights_sha256 for each in sides.values()]
    return Table("models", frame, note=f"Task: {task.name}.")


def unable(sides: Models, done: Mapping[str, Ablation], task: Task) -> list[str]:
    """A warning for each model that prefers the answer on too few prompts to be asked why it does."""
    right = {side: float((done[side].clean > 0).mean()) for side in sides}
    return [
        f"{sides[side].name} prefers the answer on {share:.0%} of the {task.name} prompts, where "
        f"{LEAST_ACCURACY:.0%} are asked of a model that can do a task: effects say little of how."
        for side, share in right.items()
        if share < LEAST_ACCURACY
    ]


def beside(sides: Sides, name: str, title: str, seed: int = 0) -> Table:
    """names, before, after, and their difference with interval and corrected p."""
    before, after, change = sides.values()
    found = change.frame(seed).rename(columns={"effect": "difference"})
    first = len(change.names.columns)
    found.insert(first, "before", before.mean())
    found.insert(first + 1, "after", after.mean())
    note = effects.p_note(change.task, len(change))
    return Table(name, found, title=title, note=note)


def weights(moved: Moved, model: Transformer) -> list[Maps | Chart | Table]:
    """How far the weights of every head, of each layer's other parts, and of all outside the blocks moved."""
    frame = weights_frame(moved)
    heads = frame[frame["part"] == "head"]["distance"].to_numpy()
    layered = frame[frame["part"].isin(["mlp", "norms and output bias"])]
    series = [
        Series(str(kind), some["layer"].tolist(), some["distance"].to_numpy())
        for kind, some in layered.groupby("part")
    ]
    outside = frame[frame["layer"].isna()][["part", "distance"]]
    lines = Chart("By layer", "line", series, "layer", "share of norm before") if series else None
    return [
        Maps([effects.head_map("heads", heads, model.config.n_layers, "share of norm")]),
        *([lines] if lines else []),
        Table("weights_outside_blocks", outside, title="Outside the blocks"),
    ]


def weights_frame(moved: Moved) -> pd.DataFrame:
    """part, layer, head and distance of every part."""
    rows = [[each.kind, each.layer, each.index, distance] for each, distance in moved.items()]
    return pd.DataFrame(rows, columns=["part", "layer", "head", "distance"])


def moved_most(moved: Moved) -> str:
    """The two parts of the blocks that moved furthest, in words."""
    inside = sorted((each for each in moved if each.layer is not None), key=lambda it: -moved[it])

    def name(each: Component) -> str:
        return str(each) if each.kind == "head" else f"layer {each.layer}'s {each.kind}"

    return " and ".join(f"{name(each)} ({moved[each]:.1%})" for each in inside[:2])


def together(moved: Moved, change: Effects) -> list[Headline]:
    """Whether parts whose weights moved most changed most in effect; nothing where all moved alike."""
    distance = np.array([moved[each] for each in change.components])
    rank = stats.rank_correlation(distance, np.abs(change.mean()))
    if np.isnan(rank.value):
        return []
    label = "weights moved and effects changed, rank correlation"
    return [estimates.headline(label, rank, note="n counts heads and MLPs")]


def checks(
    sides: Models,
    task: Task,
    done: Mapping[str, Ablation],
    direct: Mapping[str, Attribution],
    seed: int,
) -> list[Check]:
    """That both models' sweeps equal whole forward passes, that no template chose and was measured, and that
    both models' direct effects add up."""
    found = [ablations.checks(each, task, done[side], seed) for side, each in sides.items()]
    swept = [
        Check(f"{check.name}, {side}", check.value, check.tolerance)
        for side, (check, _) in zip(sides, found, strict=True)
    ]
    added = [
        Check(
            f"direct effects add up to the logit difference, {side}",
            each.error,
            tolerance.rounding(sides[side].dtype, each.scale, len(each.components)),
        )
        for side, each in direct.items()
    ]
    return [*swept, effects.splits(task), *added]
