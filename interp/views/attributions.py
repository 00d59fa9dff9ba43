"""Direct effects, and where heads bring them from, as the blocks of a report."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from interp import stats
from interp.effects import Effects
from interp.methods.attention import Preferred
from interp.report import Flow, Heatmap, Maps, Table, Text
from interp.tasks import Task
from interp.views import effects

_GROUPS = {
    "heads": ("head",),
    "MLP": ("mlp",),
    "embedding and biases": ("embed", "pos_embed", "bias"),
}
FLATTERED = (
    "p inverts the interval; p_corrected: for all components together. These are the largest on these "
    "very prompts, which flatters them; the confirmed ones below are estimated on others."
)


def components(parts: Effects, seed: int = 0) -> pd.DataFrame:
    """component, layer, head, contribution, ci_low, ci_high, p, p_corrected and n."""
    task = parts.task
    found = stats.table(parts.values, task.clusters, task.items, seed=seed)
    return parts.beside(found.rename(columns={"effect": "contribution"}))


def largest(frame: pd.DataFrame, top: int = 40) -> Table:
    """The rows of largest contribution."""
    some = frame.sort_values("contribution", key=abs, ascending=False).head(top)
    return Table("largest", some, title="The largest parts", first_rows=15, note=FLATTERED)


def flow(parts: Effects, n_layers: int) -> Flow:
    """How the answer builds up from the embedding to the final norm, by kind of component."""
    names = parts.names
    means = stats.cluster_means(parts.values, parts.task.clusters).mean(-1)
    depth = ["embed", *(f"L{layer}" for layer in range(n_layers)), "final"]
    at = names["layer"].astype("float").fillna(n_layers).to_numpy().astype(int) + 1
    at[names["component"].isin(["embed", "pos_embed"])] = 0
    kinds = names["component"].to_numpy()
    groups = {
        name: np.isin(kinds, some) for name, some in _GROUPS.items() if np.isin(kinds, some).any()
    }
    written = np.zeros((len(depth), len(groups)))
    for column, member in enumerate(groups.values()):
        np.add.at(written[:, column], at[member], means[member])
    heads = [
        (int(place), str(each), float(value))
        for place, each, value in zip(at, parts.components, means, strict=True)
        if each.kind == "head"
    ]
    title, unit = "How the answer builds up, mean over prompts", "logits of answer minus wrong"
    return Flow(title, depth, list(groups), written, heads, unit=unit)


def by_order(heads: Effects, seed: int = 0, top: int = 10) -> list[Table]:
    """The largest heads of each order by themselves; nothing where the task has one order alone."""
    if len(heads.by_variant()) < 2:
        return []
    frame = effects.by_variant(heads, "by_order", seed=seed).frame
    frame = frame.sort_values("effect", key=abs, ascending=False).groupby("order").head(top)
    frame = frame.rename(columns={"effect": "contribution"}).sort_values("order", kind="stable")
    return [Table("by_order", frame, title=f"The {top} largest heads of each order")]


def sources(brought: Effects, seed: int = 0) -> list[Maps | Table]:
    """What heads bring from each source, as a map and a table."""
    frame = effects.intervals(brought, seed).rename(columns={"effect": "contribution"})
    rows = list(dict.fromkeys(map(str, brought.components)))
    columns = list(dict.fromkeys(frame["source"]))
    grid = frame["contribution"].to_numpy().reshape(len(rows), -1)
    title, axes = "Direct effect by source", ("component", "source")
    shown = Heatmap(title, grid, *axes, rows=rows, columns=columns, unit=brought.unit)
    return [Maps([shown]), Table("sources", frame)]


def score_parts(
    found: Sequence[Preferred], task: Task, seed: int = 0, top: int = 8
) -> list[Text | Table]:
    """In words where each head attends to most, and the `top` parts of its score there of either side."""
    if not found:
        return [Text("No named position to attend to.")]
    frames, words = [], []
    for each in found:
        parts = each.parts
        words.append(
            f"- **{each.head}** attends from END most to {each.position} ({each.attention:.2f}); its "
            f"score there is {float(parts.contrast.mean()):+.2f} above that of the other keys (sums agree "
            f"to {parts.error:.0e} of it)."
        )
        for side, scored in (("query", parts.query_side), ("key", parts.key_side)):
            names = {**each.head.columns(), "looks_at": each.position, "side": side}
            named = pd.DataFrame([names | {"upstream": str(part)} for part in parts.components])
            values = scored.double().cpu().numpy()
            rows = np.argsort(-np.abs(values.mean(-1)))[:top]
            strongest = Effects(values, list(parts.components), task, named=named).only(rows)
            frames.append(effects.intervals(strongest, seed))
    frame = pd.concat(frames, ignore_index=True).rename(columns={"effect": "score"})
    return [Text("\n".join(words)), Table("score_parts", frame, first_rows=2 * top)]
