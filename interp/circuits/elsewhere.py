"""Other choices to hold a circuit against: that of another task of the same model, circuits drawn from all
edges alike, and those chosen for the same task from other prompts or with another ablation."""

from collections.abc import Sequence
from typing import Any

from interp import tasks
from interp.circuits.controls import uniform_circuits
from interp.circuits.graph import Graph, Mask
from interp.circuits.methods import METHODS, Method
from interp.circuits.search import Found, edge_scores, mean_scores, strongest
from interp.errors import NotApplicable, UsageError
from interp.methods.ablate import Named, kinds_of
from interp.tasks import Task
from interp.transformer import Transformer


def chosen(
    model: Transformer, graph: Graph, task: Task, fraction: float, ablation: Named, **scored: Any
) -> Mask:
    """This fraction of the strongest edges on the task's prompts; `scored` is what `edge_scores` takes."""
    scores = edge_scores(model, graph, task, ablation, **scored)
    return strongest(graph, mean_scores(graph, scores), fraction)


def of_another_task(
    model: Transformer,
    graph: Graph,
    task: Task,
    fraction: float,
    ablation: Named = "resample",
    *,
    among: Sequence[str] | None = None,
    seed: int = 0,
    **scored: Any,
) -> tuple[str, Mask]:
    """The first other task whose gate the model passes, of all that there are or those `among` which it is
    looked for, and the circuit chosen on its discovery half.

    Raises  NotApplicable where the model passes none.
    """
    own = task.name.partition("-")[0]
    for name in tasks.names() if among is None else among:
        if name == own:
            continue
        try:
            other = tasks.build(name, model.tokenizer, seed=seed, bos=model.bos_choice)
        except UsageError:
            # The tokenizer lacks its words.
            continue
        if tasks.gate(model, other).refused is None:
            half = other.only(other.where(half="discovery"))
            kept = chosen(model, graph, half, fraction, ablation, **scored)
            if kept.any():
                return name, kept
    raise NotApplicable(f"{model.name} passes the gate of no other task than {own}")


def beside(
    model: Transformer,
    graph: Graph,
    task: Task,
    found: Found,
    ablation: Named = "resample",
    *,
    seed: int = 0,
    **scored: Any,
) -> tuple[dict[str, Mask], list[str]]:
    """By name the circuit of another task and those of ten uniform ones that are connected, without their
    dead ends; and why some of that is missing."""
    drawn = (
        graph.pruned(each) for each in uniform_circuits(graph, int(found.kept.sum()), 10, seed)
    )
    masks = {f"uniform circuit {n}": each for n, each in enumerate(drawn, 1) if each.any()}
    try:
        name, kept = of_another_task(
            model, graph, task, found.fraction, ablation, seed=seed, **scored
        )
    except NotApplicable as reason:
        return masks, [str(reason)]
    return {f"circuit of {name}": kept, **masks}, []


def chosen_again(
    model: Transformer,
    graph: Graph,
    task: Task,
    fraction: float,
    ablation: Named = "resample",
    **scored: Any,
) -> dict[str, Mask]:
    """By name the circuits chosen on the held-out half of the screen, and with the other ablations; these by
    edge attribution patching where the method begins at corrupted prompts."""
    half = task.only(task.where(half="discovery"))
    other = task.only(task.where(half="held_out"))
    found = {"the other half": chosen(model, graph, other, fraction, ablation, **scored)}
    way: Method = scored.pop("method", METHODS["eap"])
    of = ""
    if way.path in ("inputs", "ends") or way.parts:
        way, of = METHODS["eap"], " (eap)"
    for kind in kinds_of(task):
        if kind != ablation:
            name = f"{kind} ablation{of}"
            found[name] = chosen(model, graph, half, fraction, kind, method=way, **scored)
    return found
