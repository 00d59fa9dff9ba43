"""Which heads continue a repeated sequence, and how much does the model gain by it?

Method  Random tokens that are not special, twice after the task's BOS, leave nothing to go by but the
        repetition. Each head's score is its mean attention on the key that a head of that kind would
        look at: the token after the earlier copy (induction), the earlier copy (duplicate token), both
        from the second copy on; the token before, the first token and the token itself from every
        position but the first. A perfect head scores 1; chance is an even spread over what a query may
        see. Prefix matching and copying are measured on shorter sequences repeated four times: the
        attention on all tokens that followed earlier occurrences, and the share of what the head's
        values raise among the sequence's tokens that is the token read.
        The clearest heads are picked on these sequences and confirmed on as many others, at least twelve,
        where the two highest induction scorers, and random heads of their layers, also get z from sequences
        whose first copy is of other tokens.
Units   Attention and shares of 1; loss in nats per token; intervals over sequences.
Source  Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895.
Limits  Attention says where a head looks, not what it does; random tokens are far from text.
"""

from typing import Annotated

from interp import components, stats
from interp.methods import controls, induction, repetition
from interp.methods.ablate import ablate, worst_error
from interp.report import Headline, Report, Section, Text
from interp.study import Heads, Range, study
from interp.views import attention, estimates, rules, tolerance
from interp.views import induction as shown

# What a head of a kind must give to where its kind attends; and the fewest sequences that confirm.
HALF, LEAST = 0.5, 12
# So many of the clearest are removed: on long sequences each costs what all patterns together do.
NEEDED = 2
FRESH = "on fresh sequences"
SWEPT = "sweep and whole forward pass, a random head, nats"


def _reason(model) -> str | None:
    if not model.config.causal:
        return f"{model.name} sees later tokens, so nothing has to be induced"
    if repetition.longest(model) < 4:
        return f"{model.name} reads {model.config.n_ctx} tokens, too few to repeat any"
    return None


@study(
    expects="Some head attends more than half to the token after the earlier copy, some head of an "
    "earlier layer more than half to the token before, and the second copy costs less loss.",
    task=None,
    cost=40,
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
    def drawn(further=0, length=length, **given):
        settings = {"copies": 2, "count": sequences, "seed": seed + further} | given
        return repetition.draw(model, length=length, **settings)

    twice, four = drawn(), drawn(1, max(2, length // 2), copies=4)
    every = induction.head_scores(model, twice) | induction.prefix_matching_and_copying(model, four)
    heads = every.frame()
    ranked = every.ranked("induction")
    follower, before = ranked[0], every.ranked("previous_token")[0]
    feeds = every.ranked("previous_token", below=follower.layer)[:1]

    fresh, other = (drawn(further, count=max(LEAST, sequences)) for further in (2, 3))
    again = induction.head_scores(model, fresh)
    confirmed = {"induction": stats.mean(again.of("induction", follower), seed=seed)}
    for head in feeds:
        confirmed["previous_token"] = stats.mean(again.of("previous_token", head), seed=seed)
    as_task = repetition.as_task(model, fresh, other)
    needed = ranked[: min(top, NEEDED)]
    some = controls.beside_others(needed, components.heads(model), seed)
    removed = ablate(model, as_task, some, ["resample"], metric=fresh.gained)
    gained = stats.mean(removed.clean, seed=seed)

    [one] = repetition.runs(model, drawn(length=min(length, 12), count=1), ("pattern",))
    losses = repetition.losses(model, twice)
    first, second = (float(each.mean()) for each in twice.by_copy(losses))
    # Without an earlier layer there is no pair of heads to find.
    pair = rules.against(HALF, *confirmed.values()) if feeds else "not supported"
    return Report(
        answer=f"{follower} is {model.name}'s clearest induction head ({heads.induction.max():.2f}), "
        f"{before} its clearest previous-token head ({heads.previous_token.max():.2f}); the second "
        f"copy of random tokens costs {first - second:.1f} nats a token less than the first.",
        verdict=rules.together([pair, rules.against(0.0, gained)]),
        inputs=[Text(model.bos.sentence)],
        headlines=[
            estimates.headline(
                f"induction, {follower}",
                confirmed["induction"],
                "attention",
                note=f"chance {float(every.chance['induction'][follower.layer]):.3f}; {FRESH}",
            ),
            Headline("heads above one half", f"{(heads.induction > HALF).sum()}", note="induction"),
            estimates.headline("gained on the second copy", gained, "nats", note=FRESH),
        ],
        sections=[
            Section("Every head", [shown.every(every)]),
            Section("The clearest heads of each kind", [shown.clearest(every, seed)]),
            Section(
                "What the model gains in context",
                [shown.by_position(losses, twice, seed), shown.by_copy(losses, twice)],
            ),
            Section(
                "What the clearest induction heads are needed for",
                [shown.without(removed.effects["resample"], len(needed), seed)],
            ),
            Section("Patterns", [shown.patterns(model, one, ranked[:top])]),
        ],
        controls=[rule(confirmed, gained, follower, feeds), shown.beside_chance(every)],
        checks=[
            attention.adds_up(model, one),
            tolerance.at_logits(SWEPT, worst_error(model, as_task, removed, seed), model, as_task),
        ],
        files={"heads": heads},
    )


def rule(confirmed, gained, follower, feeds):
    said = rules.said({name.replace("_", " "): each for name, each in confirmed.items()})
    above = HALF + (longest := rules.longest(*confirmed.values()))
    return rules.rule(
        "no head attends more than half to where its kind would; picked on other sequences, "
        f"{' and '.join(map(str, [follower, *feeds]))} are estimated on fresh ones: {said}. Supported: both "
        f"intervals above {HALF}, and the gain's above zero; not supported: one of them below.",
        f"sequences of random tokens like the {gained.n} fresh ones; these heads of this model, not others.",
        f"an interval of attention is {longest:.2g} long at most, so a head that attends {above:.2f} is "
        f"found; for the gain, {rules.least(gained)} nats.",
    )
