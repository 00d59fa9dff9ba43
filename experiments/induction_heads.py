"""Which heads continue a repeated sequence, and how much does the model gain by it?

Method  Random tokens that are not special, twice after the task's BOS, leave nothing to go by but the
        repetition. Each head's score is its mean attention on the key that a head of that kind would
        look at: the token after the earlier copy (induction), the earlier copy (duplicate token), both
        from the second copy on; the token before, the first token and the token itself from every
        position but the first. A perfect head scores 1; chance is an even spread over what a query may
        see. Prefix matching and copying are measured on shorter sequences repeated four times: the
        attention on all tokens that followed earlier occurrences, and the share of what the head's
        values raise among the sequence's tokens that is the token read.
        The clearest heads are picked on these sequences and confirmed on as many others, at least twelve.
Units   Attention and shares of 1; loss in nats per token; intervals over sequences.
Source  Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895.
Limits  Attention says where a head looks, not what it does; random tokens are far from text.
"""

from typing import Annotated

import numpy as np
import pandas as pd

from interp import stats
from interp.components import Head
from interp.methods import induction
from interp.report import (
    Attention,
    Chart,
    Check,
    Headline,
    Heatmap,
    Maps,
    Report,
    Section,
    Series,
    Table,
    Text,
)
from interp.study import Heads, Range, study
from interp.views import figures, rules, tolerance

# What a head of a kind must give to where its kind attends; and the fewest sequences that confirm.
HALF, LEAST = 0.5, 12
COLUMNS = (
    "induction",
    "previous_token",
    "duplicate_token",
    "first_token",
    "current_token",
    "prefix_matching",
    "copying",
)


def _reason(model) -> str | None:
    if not model.config.causal:
        return f"{model.name} sees later tokens, so nothing has to be induced"
    if induction.longest(model) < 4:
        return f"{model.name} reads {model.config.n_ctx} tokens, too few to repeat any"
    return None


@study(
    expects="Some head attends more than half to the token after the earlier copy, some head of an "
    "earlier layer more than half to the token before, and the second copy costs less loss.",
    task=None,
    cost=20,
    applies=_reason,
)
def induction_heads(
    model,
    task,
    *,
    seed: int = 0,
    length: Annotated[int, Range(2, count="random tokens that fit twice")] = 50,
    sequences: Annotated[int, Range(2, 1_000)] = 8,
    top: Heads = 5,
) -> Report:
    twice = induction.repetition(model, length=length, copies=2, count=sequences, seed=seed)
    scores, loss = induction.head_scores(model, twice)
    four = induction.repetition(
        model, length=max(2, length // 2), copies=4, count=sequences, seed=seed + 1
    )
    more = induction.prefix_matching_and_copying(model, four)
    values = {**scores.values, **more.values}
    chance = {**scores.chance, **more.chance}
    estimates = {
        name: stats.mean(values[name].double().cpu().numpy(), seed=seed) for name in COLUMNS
    }
    heads = _heads(estimates)
    gain = _gain(loss, twice, seed)
    best = {
        name: heads.sort_values(name, ascending=False, kind="stable").iloc[0] for name in COLUMNS
    }
    follower, before = best["induction"], best["previous_token"]
    earlier = heads[heads.layer < follower["layer"]]
    feeds = earlier.sort_values("previous_token", ascending=False, kind="stable").head(1)
    confirmed, gained = _confirmed(model, length, sequences, follower, feeds, seed)
    shown = induction.repetition(model, length=min(length, 12), copies=2, count=1, seed=seed)
    one = next(iter(induction.runs(model, shown, ("pattern",))))
    top_heads = heads.sort_values("induction", ascending=False, kind="stable").head(top)
    return Report(
        answer=f"{_name(follower)} is {model.name}'s clearest induction head ({follower['induction']:.2f}), "
        f"{_name(before)} its clearest previous-token head ({before['previous_token']:.2f}); the second "
        f"copy of random tokens costs {gain.value:.1f} nats a token less than the first.",
        verdict=_verdict(confirmed, gained),
        inputs=[Text(model.bos.sentence)],
        headlines=[
            figures.headline(
                f"induction, {_name(follower)}",
                confirmed["induction"],
                "attention",
                note=f"chance {float(chance['induction'][int(follower['layer'])]):.3f}; on fresh sequences",
            ),
            Headline(
                "heads above one half", str(int((heads.induction > 0.5).sum())), note="induction"
            ),
            figures.headline(
                "gained on the second copy", gained, "nats", note="on fresh sequences"
            ),
        ],
        sections=[
            _maps(estimates),
            _best(estimates, heads, chance, model.config),
            _loss(loss, twice, gain, seed),
            _pattern(model, shown, one, top_heads),
        ],
        controls=[_rule(confirmed, gained, follower, feeds), _chance(estimates, chance)],
        checks=[
            Check(
                "attention over all keys adds up to 1, largest error",
                _row_error(one),
                tolerance.rounding(model.dtype, n_terms=shown.tokens.shape[1]),
            )
        ],
        files={"heads": heads},
    )


def _confirmed(model, length: int, sequences: int, follower, feeds, seed: int):
    """On fresh sequences: the picked heads' attention (the induction head's, and that of the head of an
    earlier layer that attends most to the token before), and the gain on the second copy."""
    fresh = induction.repetition(
        model, length=length, copies=2, count=max(LEAST, sequences), seed=seed + 2
    )
    scores, loss = induction.head_scores(model, fresh)
    picked = {"induction": follower}
    if len(feeds):
        picked["previous_token"] = feeds.iloc[0]
    found = {
        name: stats.mean(
            scores.values[name][int(head["layer"]), int(head["head"])].double().cpu().numpy(),
            seed=seed,
        )
        for name, head in picked.items()
    }
    return found, _gain(loss, fresh, seed)


def _verdict(confirmed, gained):
    if "previous_token" not in confirmed:
        # No earlier layer: there is no pair of heads to find.
        return "not supported"
    found = {
        rules.against(HALF, confirmed["induction"], confirmed["previous_token"]),
        rules.against(0.0, gained),
    }
    if found == {"supported"}:
        return "supported"
    return "not supported" if "not supported" in found else "inconclusive"


def _rule(confirmed, gained, follower, feeds):
    values = ", ".join(f"{name.replace('_', ' ')} {float(each.value):.2f} [{float(each.low):.2f}, "
                       f"{float(each.high):.2f}]" for name, each in confirmed.items())  # fmt: skip
    who = _name(follower) + (f" and {_name(feeds.iloc[0])}" if len(feeds) else "")
    return rules.rule(
        f"no head attends more than half to where its kind would; picked on other sequences, {who} are "
        f"estimated on fresh ones: {values}. Supported: both intervals above {HALF}, and the "
        "gain's above zero; "
        "not supported: one of them below.",
        f"sequences of random tokens like the {gained.n} fresh ones; these heads of this model, not others.",
        f"an interval of attention is {_longest(confirmed):.2g} long at most, so a head that attends "
        f"{HALF + _longest(confirmed):.2f} is found; for the gain, {rules.least(gained)} nats.",
    )  # fmt: skip


def _longest(confirmed) -> float:
    return max(float(each.high - each.low) for each in confirmed.values())


def _name(head) -> str:
    return str(Head(int(head["layer"]), int(head["head"])))


def _heads(estimates) -> pd.DataFrame:
    n_layers, n_heads = estimates["induction"].value.shape
    frame = pd.DataFrame(
        {
            "layer": np.repeat(np.arange(n_layers), n_heads),
            "head": np.tile(np.arange(n_heads), n_layers),
        }
    )
    return frame.assign(**{name: estimates[name].value.ravel() for name in COLUMNS})


def _row_error(run) -> float:
    return float((run.cache.stack("pattern").sum(-1) - 1).abs().max())


def _by_copy(loss, of) -> tuple[np.ndarray, np.ndarray]:
    """The loss on each token but the first of the sequence, in its first and in its second copy."""
    each = loss.double().cpu().numpy()
    start = of.begin - 1
    first = each[:, start + 1 : start + of.length]
    return first, each[:, start + of.length + 1 : start + 2 * of.length]


def _gain(loss, of, seed: int):
    first, second = _by_copy(loss, of)
    return stats.mean((first - second).mean(-1), seed=seed)


def _maps(estimates) -> Section:
    titles = {name: name.replace("_", " ").capitalize() for name in COLUMNS}
    return Section(
        "Every head",
        [
            Maps(
                [
                    Heatmap(
                        titles[name],
                        estimates[name].value,
                        "layer",
                        "head",
                        scale="sequential",
                        low=0,
                        high=1,
                    )
                    for name in COLUMNS
                ],
                note="Mean over sequences; 1 is a perfect head of its kind.",
            )
        ],
    )


def _best(estimates, heads, chance, config) -> Section:
    rows = []
    for name in COLUMNS:
        ranked = np.argsort(-estimates[name].value.ravel(), kind="stable")[:8]
        for row in ranked:
            layer, head = divmod(int(row), config.n_heads)
            ends = (getattr(estimates[name], end).ravel()[row] for end in ("value", "low", "high"))
            rows.append([name, layer, head, *ends, float(chance[name][layer])])
    columns = ["score", "layer", "head", "value", "ci_low", "ci_high", "chance"]
    frame = pd.DataFrame(rows, columns=columns)
    return Section("The clearest heads of each kind", [Table("clearest", frame, first_rows=16)])


def _loss(loss, of, gain, seed: int) -> Section:
    each = loss.double().cpu().numpy()
    estimate = stats.mean(each.T, seed=seed)
    x = np.arange(1, each.shape[1] + 1)
    first, second = _by_copy(loss, of)
    frame = pd.DataFrame({"copy": ["first", "second"], "loss": [first.mean(), second.mean()]})
    return Section(
        "What the model gains in context",
        [
            Chart(
                "Loss by position",
                "line",
                [Series("loss", x, estimate.value, estimate.low, estimate.high)],
                "position",
                "nats",
                note=f"The second copy begins at position {of.begin + of.length}.",
            ),
            Table("loss", frame, title="Mean loss per token, the first of the sequence left out"),
        ],
    )


def _pattern(model, of, run, heads) -> Section:
    chosen = [(int(row["layer"]), int(row["head"])) for _, row in heads.iterrows()]
    patterns = run.cache.stack("pattern")[:, 0]
    grid = np.stack([patterns[layer, head].float().cpu().numpy() for layer, head in chosen])
    title = "The clearest induction heads on a short sequence"
    labels = model.to_str_tokens(of.tokens[0])
    return Section("Patterns", [Attention(title, [labels], [grid], chosen)])


def _chance(estimates, chance) -> Table:
    """How far the clearest head stands above all others: the other heads are its controls."""
    rows = []
    for name in COLUMNS:
        values = estimates[name].value.ravel()
        rows.append(
            [name, float(values.max()), float(np.median(values)), float(chance[name].mean())]
        )
    columns = ["score", "clearest head", "median head", "chance"]
    note = "Chance: attention spread evenly over what a query may see; for copying, one in the sequence."
    return Table(
        "control",
        pd.DataFrame(rows, columns=columns),
        title="Beside other heads and chance",
        note=note,
    )
