"""What grew in a training, as the lines, maps and tables of a report."""

from collections.abc import Sequence

from interp.components import Head
from interp.report import Chart, Maps, Table
from interp.training.dynamics import Circuit, Moment, best_heads, composed, course
from interp.views import charts, induction

# The kinds of head that make an induction circuit, with the layer that each is sought in.
KINDS = {"induction": 1, "previous_token": 0}


def learning(moments: Sequence[Moment], circuit: Circuit) -> list[Chart]:
    """The loss on both copies, and how far the heads of each layer attend as their kind would, by step."""
    steps = [each.step for each in moments]
    losses = course(moments, circuit)
    copies = {f"{name} copy": losses[name] for name in ("first", "second")}
    attended = {
        f"{name.replace('_', ' ')}, {head}": [
            float(each.scores.of(name, head).mean()) for each in moments
        ]
        for name, layer in KINDS.items()
        for head in (
            Head(layer, number) for number in range(moments[0].scores.values[name].shape[1])
        )
    }
    return [
        charts.lines("Loss on both copies", steps, copies, "step", "nats per token"),
        charts.lines("Where heads attend to", steps, attended, "step", "attention"),
    ]


def before_and_after(moments: Sequence[Moment]) -> Maps:
    """Every head's scores before the first step and after the last."""
    sides = (moments[0], "before"), (moments[-1], "after")
    shown = {f"{name}, {when}": each.scores.means()[name] for name in KINDS for each, when in sides}
    return induction.maps(shown, "Mean over sequences.")


def at_fixed_distance(control: Sequence[Moment]) -> Table:
    """step, best_induction, chance and gained of the training that needs no matching."""
    return Table(
        "fixed",
        best_heads(control),
        title="Trained at one fixed distance",
        note="Measured on the same sequences as the model above, whose copies are further apart.",
    )


def composition(moments: Sequence[Moment], circuit: Circuit) -> Table:
    """How strongly the pair composes before the first step and after the last, beside other pairs."""
    return Table(
        "composition",
        composed([moments[0], moments[-1]], circuit),
        title=f"K-composition of {circuit.before} → {circuit.follower} beside other pairs",
        note="Turned: a random rotation of the stream between the two heads.",
    )
