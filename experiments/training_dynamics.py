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

from interp import stats
from interp.report import Check, Headline, Report, Section, Table
from interp.study import Count, Range, Rate, Steps, progress, study
from interp.training import dynamics
from interp.training.data import Repeats
from interp.training.loop import Recipe
from interp.training.presets import fresh, shape
from interp.views import estimates, rules
from interp.views import induction as views

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
    sizes = {"layers": 2, "heads": HEADS, "width": WIDTH, "d_vocab": vocabulary, "n_ctx": context}
    config = shape("attn-only", **sizes, positions=positions)
    lengths = {"shortest": max(2, context // 4), "longest": context // 2}
    varying = Repeats(size=vocabulary, n_ctx=context, begin=0, first=1, **lengths, seed=seed)
    of = dynamics.probe(varying, sequences, seed)
    when = sorted({round(step) for step in np.linspace(0, steps, measured + 1)[1:]} - {0})

    def trained(source, on):
        moments = dynamics.watch(fresh(config, seed), source, recipe, of, when)
        return list(progress(moments, on, total=len(when) + 1))

    moments = trained(varying, "varying distances")
    control = trained(varying.at_distance(context // 4), "fixed distance")
    last, half = moments[-1], sequences // 2
    circuit = dynamics.circuit(last, half)
    judged = (
        last.scores.of("induction", circuit.follower),
        last.scores.of("previous_token", circuit.before),
        last.gained,
    )
    score, previous, gain = (stats.mean(each[half:], seed=seed) for each in judged)
    chance = float(last.scores.chance["induction"][1])
    course = dynamics.course(moments, circuit)
    began, ended = (int(course.step[place]) for place in dynamics.rise(course.induction.tolist()))
    turned = float(last.turned.median())
    best_fixed = float(control[-1].scores.means()["induction"].max())
    twice, unmatched = 2 * float(last.scores.chance["previous_token"][0]), max(0.2, 3 * chance)
    length = rules.longest(score)
    return Report(
        answer=f"{circuit.follower} becomes an induction head ({float(score.value):.2f} at the end, chance "
        f"{chance:.2f}), most of it between steps {began} and {ended}; the second copy then costs "
        f"{float(gain.value):.1f} nats a token less than the first. Trained at one fixed distance, the best "
        f"head scores {best_fixed:.2f}.",
        verdict=rules.together(
            [
                rules.against(0.5, score),
                rules.against(0.0, gain),
                rules.against(twice, previous),
                "supported" if best_fixed < unmatched else "not supported",
            ]
        ),
        headlines=[
            estimates.headline(
                f"induction, {circuit.follower}",
                score,
                "attention",
                note=f"chance {chance:.3f}; on sequences that did not pick it",
            ),
            estimates.headline("gained on the second copy", gain, "nats"),
            Headline("best head of the control", best_fixed, "attention", note="fixed distance"),
            Headline(
                "K-composition of the pair",
                circuit.fed(last),
                note=f"{circuit.fed(moments[0]):.2f} before training, {turned:.2f} when turned",
            ),
        ],
        sections=[
            Section("While it learns", views.learning(moments, circuit)),
            Section("Every head before and after", [views.before_and_after(moments)]),
            Section("Every measurement", [Table("moments", course)]),
        ],
        controls=[
            rules.rule(
                "the same training at one fixed distance, which needs no matching: its best head has to stay "
                f"below {unmatched:.2f}. Supported: the induction head's interval above one half, the gain's "
                f"above zero, the previous-token head's above {twice:.2f}; not supported: one of them below.",
                f"sequences like the {sequences - half} that did not pick the pair, of this one training; "
                "another seed is another training.",
                f"for the gain, {rules.least(gain)} nats; for induction, an interval of {length:.2g} finds a "
                f"head that attends {0.5 + length:.2f}.",
            ),
            views.at_fixed_distance(control),
            views.composition(moments, circuit),
        ],
        checks=[
            Check(
                "loss before training against that of a uniform guess, nats",
                abs(float(course["first"][0]) - float(np.log(vocabulary))),
                0.5,
            )
        ],
        files={"heads": dynamics.every_head(moments)},
    )
