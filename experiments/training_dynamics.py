"""How do induction heads come to be while a small model learns to continue repeated sequences?

Method  A two-layer attention-only model is trained from nothing on random tokens repeated at distances
        and from places that vary from example to example, so that only matching a token with its earlier
        copy predicts what follows; no token comes twice in a sequence, and few are not in it, so that
        counting tokens helps little. At chosen steps it is measured on sequences that no step read: the
        loss on both copies, every head's attention to the token after the earlier copy (induction) and
        to the token before (previous token), and the K-composition ‖W_OV W_QKᵀ‖ / (‖W_OV‖ ‖W_QK‖) of
        the pair that carries the circuit at the end. The control is the same training with one fixed
        distance, another than the one measured at: positions alone predict its text, so no head should
        learn to match. `--model` names only the folder of the report; the model that is trained has sizes
        of its own. The pair of heads is picked on half of the measured sequences and judged on the other.
Units   Loss in nats per token; scores in shares of 1; intervals over sequences.
Source  Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895; Elhage et al. 2021,
        A Mathematical Framework for Transformer Circuits.
Limits  Random tokens of a small vocabulary; one seed a run. With learned positions the circuit comes later
        and less surely. Composition is reported and not judged: all pairs of heads may share the work, and
        norms of weights say little of what is read.
"""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch

from interp import stats
from interp.components import Head
from interp.report import Chart, Check, Headline, Heatmap, Maps, Report, Section, Series, Table
from interp.study import Count, Range, Rate, Steps, progress, study
from interp.training import dynamics
from interp.training.initial import fresh
from interp.training.presets import shape
from interp.training.recipe import Recipe
from interp.training.repeats import Repeats
from interp.views import figures, rules

HEADS, WIDTH, BATCH = 4, 64, 32


@study(
    expects="A head of the second layer comes to attend more than half to the token after the earlier "
    "copy, together with a drop of the loss on the second copy, fed by a head of the first layer that "
    "attends to the token before more than twice as much as chance; at a fixed distance no head does.",
    task=None,
    cost=240,
    default=False,
)
def training_dynamics(
    model,
    task,
    *,
    seed: int = 0,
    steps: Steps = 800,
    rate: Rate = 0.005,
    context: Annotated[int, Range(4, 4096)] = 64,
    vocabulary: Annotated[int, Range(3, 65536)] = 33,
    positions: Literal["rotary", "learned"] = "rotary",
    sequences: Annotated[int, Range(2, 10_000)] = 16,
    measured: Count = 20,
) -> Report:
    recipe = Recipe(steps=steps, batch=BATCH, rate=rate, warmup=50, decay=0.01, seed=seed)
    source = Repeats(
        size=vocabulary, n_ctx=context, begin=0, first=1, shortest=max(2, context // 4),
        longest=context // 2, seed=seed,
    )  # fmt: skip
    fixed = source.at_distance(context // 4)
    of = dynamics.probe(source, sequences, seed)
    when = _when(steps, measured)
    moments, control = (
        list(progress(_trained(each, recipe, of, when, positions), name, total=len(when) + 1))
        for each, name in ((source, "varying distances"), (fixed, "fixed distance"))
    )
    last = moments[-1]
    half = sequences // 2
    follower, before = _pair(last, half)
    score = stats.mean(_of(last, "induction", follower)[half:].double().numpy(), seed=seed)
    previous = stats.mean(_of(last, "previous_token", before)[half:].double().numpy(), seed=seed)
    gain = stats.mean((last.first - last.second)[half:].double().numpy(), seed=seed)
    chance = float(last.chance["induction"][follower.layer])
    control_best = float(_best(control[-1], "induction").max())
    fed = [_fed(each, before, follower) for each in (moments[0], last)]
    turned = float(last.turned.median())
    rise, reached = _rise([float(_of(each, "induction", follower).mean()) for each in moments])
    began, ended = moments[rise].step, moments[reached].step
    twice, unmatched = 2 * float(last.chance["previous_token"][0]), max(0.2, 3 * chance)
    found = [
        rules.against(0.5, score),
        rules.against(0.0, gain),
        rules.against(twice, previous),
        "supported" if control_best < unmatched else "not supported",
    ]
    return Report(
        answer=f"{follower} becomes an induction head "
        f"({float(score.value):.2f} at the end, chance {chance:.2f}), most of it between steps "
        f"{began} and {ended}; the second copy then costs {float(gain.value):.1f} nats a token less than the "
        f"first. Trained at one fixed distance, the best head scores {control_best:.2f}.",
        verdict=_verdict(found),
        headlines=[
            figures.headline(
                f"induction, {follower}", score, "attention",
                note=f"chance {chance:.3f}; on sequences that did not pick it",
            ),
            figures.headline("gained on the second copy", gain, "nats"),
            Headline("best head of the control", control_best, "attention", note="fixed distance"),
            Headline(
                "K-composition of the pair", fed[1],
                note=f"{fed[0]:.2f} before training, {turned:.2f} when turned",
            ),
        ],
        sections=[
            _curves(moments, follower, before),
            _heads(moments[0], last),
            Section("Every measurement", [Table("moments", _frame(moments, follower, before))]),
        ],
        controls=[
            rules.rule(
                "the same training at one fixed distance, which needs no matching: its best head has to stay "
                f"below {unmatched:.2f}. Supported: the induction head's interval above one "
                "half, the gain's above "
                f"zero, the previous-token head's above {twice:.2f}; not supported: one of them below.",
                f"sequences like the {sequences - half} that did not pick the pair, of this one training; "
                "another seed is another training.",
                f"for the gain, {rules.least(gain)} nats; for induction, an interval of "
                f"{float(score.high - score.low):.2g} finds a head that attends "
                f"{0.5 + float(score.high - score.low):.2f}.",
            ),
            _control(control, chance),
            _composition(moments, follower, before),
        ],
        checks=[
            Check(
                "loss before training against that of a uniform guess, nats",
                abs(float(moments[0].first.mean()) - float(np.log(vocabulary))),
                0.5,
            )
        ],
        files={"heads": _long(moments)},
    )  # fmt: skip


def _when(steps: int, count: int) -> list[int]:
    return sorted({round(step) for step in np.linspace(0, steps, count + 1)[1:]} - {0})


def _trained(source, recipe, of, when, positions: str):
    config = shape(
        "attn-only", layers=2, heads=HEADS, width=WIDTH, d_vocab=source.size, n_ctx=source.n_ctx,
        positions=positions,
    )  # fmt: skip
    return dynamics.watch(fresh(config, recipe.seed), source, recipe, of, when)


def _best(moment, name: str) -> torch.Tensor:
    """`[layer head]` means over sequences."""
    return moment.scores[name].mean(-1)


def _of(moment, name: str, head: Head) -> torch.Tensor:
    """One head's score on every sequence."""
    return moment.scores[name][head.layer, head.index]


def _fed(moment, before: Head, follower: Head) -> float:
    """The composition of this pair."""
    return float(moment.composition[before.layer, before.index, follower.layer, follower.index])


def _pair(moment, half: int) -> tuple[Head, Head]:
    """The second layer's best induction head, and the first layer's best previous-token head, on the first
    half of the sequences."""
    wanted = (("induction", 1), ("previous_token", 0))
    best = [int(moment.scores[name][layer, :, :half].mean(-1).argmax()) for name, layer in wanted]
    return Head(1, best[0]), Head(0, best[1])


def _verdict(found):
    if set(found) == {"supported"}:
        return "supported"
    return "not supported" if "not supported" in found else "inconclusive"


def _rise(values: list[float]) -> tuple[int, int]:
    """The last moment below a tenth of the way to the highest value, and the first beyond nine."""
    way = (np.array(values) - values[0]) / max(max(values) - values[0], 1e-9)
    above = int(np.argmax(way > 0.1))
    return max(above - 1, 0), int(np.argmax(way > 0.9))


def _curves(moments, follower, before) -> Section:
    frame = _frame(moments, follower, before)
    loss = [
        Series(f"{name} copy", frame.step.to_numpy(), frame[name].to_numpy())
        for name in ("first", "second")
    ]
    heads = [
        Series(
            f"{name.replace('_', ' ')}, {head}",
            frame.step.to_numpy(),
            [float(_of(each, name, head).mean()) for each in moments],
        )
        for name, layer in (("induction", 1), ("previous_token", 0))
        for head in (Head(layer, number) for number in range(HEADS))
    ]
    return Section(
        "While it learns",
        [
            Chart("Loss on both copies", "line", loss, "step", "nats per token"),
            Chart("Where heads attend to", "line", heads, "step", "attention"),
        ],
    )


def _frame(moments, follower, before) -> pd.DataFrame:
    rows = [
        {
            "step": each.step,
            "first": float(each.first.mean()),
            "second": float(each.second.mean()),
            "gained": float((each.first - each.second).mean()),
            "induction": float(_of(each, "induction", follower).mean()),
            "previous_token": float(_of(each, "previous_token", before).mean()),
            "composition": _fed(each, before, follower),
        }
        for each in moments
    ]
    return pd.DataFrame(rows)


def _heads(first, last) -> Section:
    maps = [
        Heatmap(f"{title}, {when}", _best(each, name).double().numpy(), "layer", "head",
                scale="sequential", low=0, high=1)
        for name, title in (("induction", "Induction"), ("previous_token", "Previous token"))
        for each, when in ((first, "before"), (last, "after"))
    ]  # fmt: skip
    return Section("Every head before and after", [Maps(maps, note="Mean over sequences.")])


def _control(control, chance: float) -> Table:
    rows = [
        [each.step, float(_best(each, "induction").max()), chance, float((each.first - each.second).mean())]
        for each in control
    ]  # fmt: skip
    return Table(
        "fixed",
        pd.DataFrame(rows, columns=["step", "best_induction", "chance", "gained"]),
        title="Trained at one fixed distance",
        note="Measured on the same sequences as the model above, whose copies are further apart.",
    )


def _composition(moments, follower, before) -> Table:
    rows = []
    for each in (moments[0], moments[-1]):
        others = each.composition[0, :, 1].flatten()
        pair = _fed(each, before, follower)
        beyond = int((others < pair).sum())
        turned = (float(each.turned.median()), float(each.turned.max()))
        rows.append([each.step, pair, float(others.median()), beyond, *turned])
    columns = [
        *("step", "the_pair", "median_pair", "pairs_below"),
        *("median_when_turned", "highest_when_turned"),
    ]
    return Table(
        "composition",
        pd.DataFrame(rows, columns=columns),
        title=f"K-composition of {before} → {follower} beside other pairs",
        note="Turned: a random rotation of the stream between the two heads.",
    )


def _long(moments) -> pd.DataFrame:
    rows = [
        [each.step, layer, head, *(float(_best(each, name)[layer, head]) for name in each.scores)]
        for each in moments
        for layer in range(2)
        for head in range(HEADS)
    ]
    return pd.DataFrame(rows, columns=["step", "layer", "head", *moments[0].scores])
