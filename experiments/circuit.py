"""Which edges between components does the model need for the task, and do they suffice?

Method  Every edge is scored on the discovery half of the screen, by integrated gradients unless another
        method is named. Of circuits made of the edges whose removal would cost most, the smallest that does
        nearly all of the model's work there is taken, or so many edges as were fixed beforehand, without dead
        ends. It is run on fresh prompts of held-out templates: every reader reads what its kept edges bring,
        and of all other writers what they write on the paired corrupted prompt. Its complement and connected
        random circuits of its size, spread over the layers alike, run beside it. A sample of scores is
        compared with the exact effects of removing these edges by themselves. In full, more sizes run on all
        prompts, the circuit stands beside that of another task and circuits drawn from all edges alike,
        single edges and sets of components are removed from it, and it is chosen again from other prompts and
        with other ablations.
Units   Faithfulness: the share of what the model does more than the empty circuit. Scores: logits of answer
        minus wrong, removed minus clean, mean of templates' means; negative: the edge helps.
Source  Hanna et al. 2024, Have Faith in Faithfulness, arXiv:2403.17806; Wang et al. 2022, Interpretability in
        the Wild, arXiv:2211.00593; Mueller et al. 2025, MIB, arXiv:2504.13151.
See     `path_patching` follows paths back from the strongest heads, `position_signal` tells what they read by
        the token from what they read by its position, `head_circuits` what heads could pass on by their
        weights alone.
Limits  A circuit is one for these prompts and this corruption; another corruption gives another. Scores are
        of the first order, and miss what is saturated: the audit says by how much.
"""

from typing import Annotated, Literal

from interp.circuits import Circuit, Graph
from interp.circuits.audit import audit_scores
from interp.circuits.choice import choose, metrics
from interp.circuits.circuit import exchanged
from interp.circuits.completeness import completeness
from interp.circuits.elsewhere import beside, chosen_again
from interp.circuits.judge import judge
from interp.circuits.methods import METHODS
from interp.circuits.minimality import minimality
from interp.circuits.places import Places
from interp.circuits.roles import roles
from interp.circuits.search import (
    FEW,
    FRACTIONS,
    edge_scores,
    mean_scores,
)
from interp.circuits.stability import resampled
from interp.circuits.sums import sum_rules
from interp.effects.selection import on_discovery
from interp.report import NotRun, Section
from interp.study import Range, Report, study
from interp.views import circuit as views
from interp.views import circuit_graph as drawn
from interp.views import effects, judging, tolerance
from interp.views import roles as called


@study(
    expects="On held-out prompts the circuit does between the floor and as much above the whole of what the "
    "model does, and surely more than random circuits of its size.",
    task="ioi",
    cost=300,
    default=False,
)
def circuit(
    model,
    task,
    *,
    method: Literal[
        "eap-ig", "eap", "eap-ig-activations", "clean-corrupted", "relp", "gim", "average", "acdc"
    ] = "eap-ig",
    metric: Literal["logit_difference", "answer_log_prob", "kl"] = "logit_difference",
    edges: Annotated[int, Range(1, 10_000_000)] | None = None,
    tau: Annotated[float, Range(1e-9, 1000)] | None = None,
    full: bool = False,
    ablation: Literal["resample", "zero"] = "resample",
    steps: Annotated[int, Range(1, 100)] = 5,
    controls: Annotated[int, Range(39, 1000)] = 39,
    audit: Annotated[int, Range(300, 10_000)] = 300,
    floor: Annotated[float, Range(0.1, 0.99)] = 0.8,
    seed: int = 0,
) -> Report:
    half, graph, asks = task.only(on_discovery(task)), Graph.of(model), method == "acdc"
    by = metrics(metric, asks=asks)[0]
    # What ACDC leaves has scores beside it.
    way = METHODS[method if not asks else "eap-ig" if ablation == "resample" else "eap"]
    given = {"metric": by, "steps": steps, "method": way}
    scores = edge_scores(model, graph, half, ablation, **given)
    means, many = mean_scores(graph, scores), FRACTIONS if full else FEW
    how = {"edges": edges, "asks": asks, "tau": tau, "metric": metric, "fractions": many}
    found = choose(model, graph, half, means, floor, ablation, **how)
    kept, run = found.kept, {"metric": by, "seed": seed}
    fresh = task.confirmation if full else task.confirmation.evenly(64)
    others, again, missing, without = {}, {}, [], []
    if full:
        others, lacks = beside(model, graph, task, found, ablation, seed=seed, **given)
        missing = [NotRun("another task's circuit", reason) for reason in lacks]
        if not asks:
            again = chosen_again(model, graph, task, found.fraction, ablation, **given)
        few = fresh.evenly(16)
        without = [
            judging.minimality(minimality(model, graph, few, kept, means, ablation, **run)),
            judging.completeness(completeness(model, graph, few, kept, half, ablation, **run)),
        ]
    judged = judge(
        model,
        graph,
        fresh,
        found,
        floor,
        ablation,
        controls=controls,
        of_a_size=20 if full else 10,
        curve_on=None if full else fresh.evenly(16),
        beside=others,
        **run,
    )
    sample = audit_scores(model, graph, half, scores, audit, ablation, **run)
    stability = None if asks else resampled(graph, scores, kept, found.fraction, seed=seed)
    placed = graph.at_places(Places.apart(half))
    at = placed.allowed & kept[..., None]
    where = mean_scores(placed, edge_scores(model, placed, half, ablation, only=at, **given))
    share = judged.share
    sure = stability.stable if stability and stability.templates > 1 else None
    named = (model.name, model.origin.weights_sha256, task.name)
    by_what = f"each edge asked by acdc, {metric}" if asks else f"strongest edges by {way.title}"
    value = Circuit(graph, kept, *named, ablation, found=by_what)
    columns = {
        "score": means,
        "exact": sample.on(graph),
        "kept": kept,
    }
    if stability:
        columns |= {"draws": stability.share, "stable": stability.stable}
    else:
        missing = [*missing, NotRun("would it be chosen again", "acdc asks every edge once")]
    return Report(
        answer=f"{len(value):,} of {graph.n_edges:,} edges of {model.name} do {float(share.value):.0%} "
        f"[{float(share.low):.0%}, {float(share.high):.0%}] of what the model does on {judged.task.n} "
        f"held-out prompts of {task.name}; of {controls} random circuits as large none does more than "
        f"{judged.random.max():.0%}. Removing an edge does {sample.slope:.2f} of its score."
        f"{views.why(judged)}",
        verdict=judged.verdict,
        headlines=views.headlines(judged, value),
        figure=drawn.graph(graph, kept, means, scores.unit, stable=sure),
        sections=[
            Section("How many edges are enough", views.curve(judged, len(value))),
            Section("Does it suffice", [views.shares(judged)]),
            views.audit(sample.frame(), sample.agreement()),
            Section(
                "The strongest paths, and where they run",
                [
                    drawn.strongest(graph, kept, means, placed, where),
                    *drawn.by_position(placed, kept, where, scores.unit),
                ],
            ),
            *called.roles(roles(model, task, value.heads, fresh=fresh, seed=seed)),
            *([judging.stability(stability, kept, again)] if stability else []),
            *without,
            Section(
                "Components and edges",
                [
                    views.components(graph, kept, means),
                    views.edges(graph, columns),
                ],
            ),
        ],
        controls=[*views.controls(judged), judging.uniform(graph, len(value), seed)],
        checks=[
            tolerance.at_logits(
                "full circuit and whole model, largest difference",
                judged.largest_error,
                model,
                task,
            ),
            *judging.added_up(sum_rules(model, graph, half, ablation=ablation, **given), model),
            effects.splits(task),
        ],
        not_run=missing,
        files={"confirmation_prompts": judged.task.frame()},
        documents={"circuit": value.text(), "importances": exchanged(model, graph, means, kept)},
    )
