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
Limits  What one head changes by itself. A head that copies the answer's name turns with the token whatever
        made it look there. That the effects of the two add up to that of both is reported, not assumed.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from interp import components, sites, stats
from interp.components import Head, Slice
from interp.errors import NotApplicable, UsageError
from interp.methods import controls
from interp.methods.patch import At, patch_groups, worst_error
from interp.report import (
    Chart,
    Check,
    Headline,
    Maps,
    Section,
    Series,
    Table,
    Text,
    TokenStrip,
)
from interp.study import Count, Heads, Report, study
from interp.tasks.batches import labels
from interp.views import effects, figures, tests, tolerance

# Which corruption of the task turns round which signal.
SIGNALS = {"position": "swap", "token": "flip_swap", "both": "flip"}
PLACES = ("S2", "END")


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
    tasks = _signals(task)
    config = model.config
    places = [name for name in PLACES if name in labels(task)]
    heads = components.heads(model)
    at_end = [At(head, "END") for head in heads]
    stream = {
        place: [At(Slice(sites.resid_pre(layer)), place) for layer in range(config.n_layers)]
        for place in places
    }
    done = {
        name: patch_groups(model, each, {"z": at_end, **stream}, "noise")
        for name, each in tasks.items()
    }
    signals = {name: replace(each["z"].effects, components=heads) for name, each in done.items()}
    chosen = signals["both"].select(top)
    held, mean = {}, {}
    for name, each in tasks.items():
        fresh = controls.on_fresh_prompts(
            model, each.confirmation, chosen.components, at="END", draws=draws, seed=seed
        )
        # Each signal alone is held against random heads in the direction that both had together.
        held[name] = replace(chosen, screen=signals[name]).test(
            fresh.effects,
            fresh.controls,
            what=f"heads, {name}",
            directed=signals["both"],
            seed=seed,
        )
        mean[name] = held[name].confirmation.chosen
    table = _table(held, chosen)
    most = {name: table.iloc[_most(signals[name], chosen)] for name in ("position", "token")}
    return Report.of(
        [held[name] for name in ("position", "token")],
        _answer(model, most, mean, len(chosen)),
        [
            _whole_prompts(done, task, seed),
            _stream(done, places, config.n_layers),
            Section(
                "Every head's z at END",
                [
                    Maps(
                        [
                            effects.head_map(name, each.mean(), config.n_layers)
                            for name, each in signals.items()
                        ],
                        note="Red: the answer suffers.",
                    ),
                    _scatter(signals, chosen),
                    effects.every(signals, "heads", "Every head", column="signal", seed=seed),
                ],
            ),
            Section(
                "The heads that matter most",
                [
                    Table("confirmed", table, title="The chosen heads on held-out prompts"),
                    Table(
                        "top_heads",
                        _screened(signals, chosen, seed),
                        title="The same heads on the held-out half of the screen",
                    ),
                    *(
                        tests.per_prompt(held[name], f"{name}, prompt by prompt")
                        for name in SIGNALS
                    ),
                ],
            ),
        ],
        headlines=[
            *(_headline(most[name], name) for name in most),
            *(
                figures.headline(
                    f"{name}, {len(chosen)} heads", each, "logits", note="in the direction of both"
                )
                for name, each in mean.items()
            ),
        ],
        inputs=_inputs(model, tasks),
        files={"confirmation_prompts": held["both"].fresh.task.frame()},
        checks=[
            Check(
                "sweep and whole forward pass, random patches, logits",
                max(
                    worst_error(model, tasks[name], each, "noise", seed)
                    for name, groups in done.items()
                    for each in groups.values()
                ),
                tolerance.logits(model, task),
            ),
            effects.splits(task),
        ],
    )


def _answer(model, most, mean, count: int) -> str:
    position, token = most["position"], most["token"]
    return (
        f"In {model.name} {_head(position)} says most about the position: z at END from a prompt that turns "
        f"it round changes the logit difference by {position.position_effect:+.2f} "
        f"({position.token_effect:+.2f} for the token). {_head(token)} says most about the token: "
        f"{token.token_effect:+.2f} ({token.position_effect:+.2f} for the position). The {count} heads that "
        f"matter most move it by {float(mean['position'].value):.2f} each for the position and by "
        f"{float(mean['token'].value):.2f} for the token, the way they went for both where they were chosen."
    )


def _signals(task) -> dict:
    try:
        return {name: task.corrupted_by(corruption) for name, corruption in SIGNALS.items()}
    except UsageError as error:
        raise NotApplicable(f"{error}; ioi has what this asks for") from None


def _most(signal, chosen) -> int:
    """Which of the chosen heads lowers the logit difference most where they were chosen."""
    return int(signal.only(chosen.rows).where(chosen.discovery).mean().argmin())


def _headline(row: pd.Series, name: str) -> Headline:
    value, low, high = (float(row[f"{name}_{which}"]) for which in ("effect", "low", "high"))
    ends = {} if np.isnan(low) else {"low": low, "high": high}
    return Headline(
        f"{_head(row)}, {name}", value, "logits", note="chosen on the discovery half", **ends
    )


def _inputs(model, tasks) -> list[Text | TokenStrip]:
    """One prompt as it is and with each signal turned round."""
    (first, *_) = tasks["both"].kept
    words = {"clean": first.clean_tokens} | {
        f"{name} turned round": each.kept[0].corrupted_tokens for name, each in tasks.items()
    }
    said = (
        f"**{tasks['both'].n} prompts**, each in four forms. The answer here is {first.answer!r}, not "
        f"{first.wrong!r}."
    )
    strips = [
        TokenStrip(model.to_str_tokens(torch.tensor(ids)), title=title.capitalize())
        for title, ids in words.items()
    ]
    return [Text(said), *strips]


def _head(row: pd.Series) -> str:
    return str(Head(int(row.layer), int(row["head"])))


def _whole_prompts(done, task, seed: int) -> Section:
    """What the model says to the prompts themselves."""
    rows = []
    kinds = {"clean": done["both"]["z"].base} | {
        name: each["z"].source for name, each in done.items()
    }
    for name, values in kinds.items():
        each = stats.mean(values, task.clusters, seed=seed)
        rows.append([name, *map(float, (each.value, each.low, each.high)), each.n])
    frame = pd.DataFrame(
        rows, columns=["turned round", "logit_difference", "ci_low", "ci_high", "n"]
    )
    return Section(
        "The prompts themselves",
        [Table("prompts_whole", frame, title="What the model says")],
        intro="Answer minus wrong as the clean prompt has them: the position alone keeps the answer, the "
        "others turn it round.",
    )


def _stream(done, places, n_layers: int) -> Section:
    """Where in depth each signal stands at S2 and at END."""
    charts, frames = [], []
    for place in places:
        series = []
        for name, each in done.items():
            effect = each[place].effects.mean()
            series.append(Series(name, range(n_layers), effect))
            frames.append(
                pd.DataFrame(
                    {"label": place, "signal": name, "layer": range(n_layers), "effect": effect}
                )
            )
        charts.append(Chart(f"The stream at {place}", "line", series, "layer", "logits"))
    return Section(
        "Where the signals stand",
        [*charts, Table("stream", pd.concat(frames, ignore_index=True))],
        intro="resid_pre at one position from the corrupted run, all else clean.",
    )  # fmt: skip


def _table(held, chosen) -> pd.DataFrame:
    """The chosen heads on fresh prompts: each signal's effect, and what the two lack of both."""
    found = chosen.names
    fresh = {name: test.fresh for name, test in held.items()}
    fresh["rest"] = fresh["both"] - fresh["position"] - fresh["token"]
    for name, each in fresh.items():
        frame = replace(held["both"], fresh=each).frame
        found[f"{name}_effect"], found[f"{name}_low"], found[f"{name}_high"] = (
            frame[column].to_numpy() for column in ("effect", "ci_low", "ci_high")
        )
        if name != "rest":
            found[f"{name}_p_corrected"] = frame["p_corrected"].to_numpy()
    return found


def _screened(signals, chosen, seed: int) -> pd.DataFrame:
    """The same on the held-out half of the screen, one row a head and signal."""
    frames = [
        replace(chosen, screen=each).frame(seed).assign(signal=name)
        for name, each in signals.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _scatter(signals, chosen) -> Chart:
    x, y = signals["position"].mean(), signals["token"].mean()
    rest = np.setdiff1d(np.arange(len(x)), chosen.rows)
    series = [
        Series(name, x[rows], y[rows])
        for name, rows in (("chosen", chosen.rows), ("others", rest))
        if len(rows)
    ]
    return Chart("Token beside position", "scatter", series, "position, logits", "token, logits")
