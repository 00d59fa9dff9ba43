"""Do heads know whom to leave out by his name, or by where he stood before?

Method  In “When Mary and John …, John gave a ring to” the second John tells two things: that it is John
        who comes twice (the token), and that it is the one who stood second (the position). Three
        corruptions turn round one of them, or both: exchanging the first two names turns round the
        position, exchanging them and repeating the other name the token, repeating the other name both.
        The clean run gets z of one head at END, or the stream at a named position, from each corrupted
        run. Heads are chosen by the effect of both on the discovery half of the screen; each signal is
        ranked on its other half among random heads of the same layers, and confirmed on fresh prompts
        beside changes of equal norm in other directions.
Units   Logits of answer minus wrong, patched minus clean. Negative: the head said what the corrupted
        prompt says. Exchanging the first names keeps the answer, so there is no gap to divide by: effects
        are never shares here.
Source  Wang et al. 2022, Interpretability in the Wild, arXiv:2211.00593 (token and position signal of
        S-inhibition heads).
See     `circuit` says which heads and MLPs a signal comes from and goes to, position by position.
Limits  What one head changes by itself. A head that copies the answer's name turns with the token whatever
        made it look there. That the effects of the two add up to that of both is reported, not assumed.
"""

from dataclasses import replace

import pandas as pd

from interp import components, sites
from interp.components import Slice
from interp.errors import NotApplicable, UsageError
from interp.methods import controls
from interp.methods.patch import At, patch_groups, worst_error
from interp.report import Headline, Section, Table
from interp.study import Count, Heads, Report, study
from interp.tasks.batches import labels
from interp.views import effects, estimates, patches, pictures, tests, tolerance

# Which corruption of the task turns round which signal.
SIGNALS = {"position": "swap", "token": "flip_swap", "both": "flip"}
PLACES = ("S2", "END")
WHOLE = (
    "Answer minus wrong as the clean prompt has them: the position alone keeps the answer, the others turn "
    "it round."
)
SCREENED = "The same heads on the held-out half of the screen"
SWEPT = "sweep and whole forward pass, random patches, logits"
DIRECTION = "in the direction of both"
STREAM = "resid_pre at one position from the corrupted run, all else clean."


@study(
    expects="The heads whose z at END matters most to both signals on the discovery templates lower the "
    "logit difference on held-out ones when the position alone is turned round, and when the token alone "
    "is, more than random heads of their layers and than changes of equal norm in other directions.",
    task="ioi",
    cost=150,
    sweeps=True,
    default=False,
)
def position_signal(model, task, *, top: Heads = 10, draws: Count = 1, seed: int = 0) -> Report:
    try:
        tasks = {name: task.corrupted_by(each) for name, each in SIGNALS.items()}
    except UsageError as error:
        raise NotApplicable(f"{error}; ioi has what this asks for") from None
    heads, n_layers = components.heads(model), model.config.n_layers
    groups = {"z": [At(head, "END") for head in heads]} | {
        place: [At(Slice(sites.resid_pre(layer)), place) for layer in range(n_layers)]
        for place in PLACES
        if place in labels(task)
    }
    done = {name: patch_groups(model, each, groups, "noise") for name, each in tasks.items()}
    error = max(
        worst_error(model, tasks[name], each, "noise", seed)
        for name, parts in done.items()
        for each in parts.values()
    )
    z = {name: parts.pop("z") for name, parts in done.items()}
    signals = {name: replace(each.effects, components=heads) for name, each in z.items()}
    chosen, both = signals["both"].select(top), signals["both"]
    held = {}
    for name, each in tasks.items():
        fresh = controls.on_fresh_prompts(
            model, each.confirmation, chosen.components, at="END", draws=draws, seed=seed
        )
        # Each signal alone is held against random heads in the direction that both had together.
        held[name] = replace(chosen, screen=signals[name]).test(
            fresh.effects, fresh.controls, what=f"heads, {name}", directed=both, seed=seed
        )
    lacking = held["both"].fresh - held["position"].fresh - held["token"].fresh
    table = tests.beside({**held, "rest": replace(held["both"], fresh=lacking)})
    # The one of the chosen that lowers the logit difference most where they were chosen.
    found = {name: each.only(chosen.rows).where(chosen.discovery) for name, each in signals.items()}
    most = {name: int(found[name].mean().argmin()) for name in ("position", "token")}
    maps = {name: each.mean().reshape(n_layers, -1) for name, each in signals.items()}
    axes = ("position, logits", "token, logits")
    sides = (signals["position"], signals["token"])
    confirmed = table.drop(columns="rest_p_corrected")
    screened = [each.selection.frame(seed).assign(signal=name) for name, each in held.items()]
    together = {name: each.confirmation.chosen for name, each in held.items()}
    return Report.of(
        [held[name] for name in most],
        answer(model, most, held, table, together),
        [
            Section("The prompts themselves", [patches.whole_prompts(z, seed)], intro=WHOLE),
            Section("Where the signals stand", patches.stream(done), intro=STREAM),
            Section(
                "Every head's z at END",
                [
                    pictures.maps(maps, note="Red: the answer suffers."),
                    pictures.scatter("Token beside position", *sides, axes, chosen.rows),
                    effects.every(signals, "heads", "Every head", column="signal", seed=seed),
                ],
            ),
            Section(
                "The heads that matter most",
                [
                    Table("confirmed", confirmed, title="The chosen heads on held-out prompts"),
                    Table("top_heads", pd.concat(screened), title=SCREENED),
                    *(tests.per_prompt(held[name], f"{name}, prompt by prompt") for name in held),
                ],
            ),
        ],
        headlines=[
            *(
                headline(table.iloc[row], name, held[name].labels[row])
                for name, row in most.items()
            ),
            *(
                estimates.headline(f"{name}, {len(chosen)} heads", each, "logits", note=DIRECTION)
                for name, each in together.items()
            ),
        ],
        inputs=patches.forms(model, tasks),
        files={"confirmation_prompts": held["both"].fresh.task.frame()},
        checks=[tolerance.at_logits(SWEPT, error, model, task), effects.splits(task)],
    )


def answer(model, most, held, table, together) -> str:
    """Which head says most about either signal, and how the chosen did together."""
    position, token = (table.iloc[row] for row in most.values())
    first, second = (held["both"].labels[row] for row in most.values())
    moved = {name: float(each.value) for name, each in together.items()}
    return (
        f"In {model.name} {first} says most about the position: z at END from a prompt that turns "
        f"it round changes the logit difference by {position.position_effect:+.2f} "
        f"({position.token_effect:+.2f} for the token). {second} says most about the token: "
        f"{token.token_effect:+.2f} ({token.position_effect:+.2f} for the position). The {len(table)} heads "
        f"that matter most move it by {moved['position']:.2f} each for the position and by "
        f"{moved['token']:.2f} for the token, the way they went for both where they were chosen."
    )


def headline(row, name: str, head) -> Headline:
    value, low, high = (float(row[f"{name}_{which}"]) for which in ("effect", "low", "high"))
    ends = {} if pd.isna(low) else {"low": low, "high": high}
    note = "chosen on the discovery half"
    return Headline(f"{head}, {name}", value, "logits", note=note, **ends)
