"""At which layer does the model know the answer?

Method  The residual stream that each layer receives, and the last one, are read as if they were the last:
        final norm, with the stream's own statistics, and unembedding. Shown for every layer and position
        of one prompt, and over all prompts at the last token, beside the wrong answer and a token drawn
        at random for each prompt as control. The verdict is about layers named beforehand, so nothing is
        chosen: it is estimated on the task's fresh prompts.
Units   Nats; rank 1 is the most likely token. KL is from the model's own next-token distribution to the
        lensed one. Layer l is the stream after l layers: 0 is the embedding, the last the model itself.
Source  nostalgebraist 2020, Interpreting GPT: the logit lens.
Limits  The lens reads early layers as if they were the last: what it does not show may be there in another
        form. With tied embeddings early streams tend to echo the token they started from.
"""

import numpy as np
import pandas as pd
import torch

from interp import stats
from interp.effects.test import without_interval
from interp.methods.lens import entries, lens, logit_differences
from interp.report import (
    Chart,
    Check,
    Headline,
    Heatmap,
    Maps,
    NotRun,
    Report,
    Section,
    Series,
    Table,
    Text,
    TokenStrip,
)
from interp.stats.verdict import LEAST_CONFIRMING
from interp.study import Example, study
from interp.tasks.batches import places, whole
from interp.views import figures, rules, tolerance

THIRDS = 3


@study(
    expects="The last entry is the model's own output, and the answer rises above the wrong answer more "
    "over the last third of the layers than over the first two.",
    task="ioi",
    also="induction",
    cost=5,
)
def logit_lens(model, task, *, seed: int = 0, example: Example = 0) -> Report:
    prompts = whole(task, model.device)
    generator = torch.Generator().manual_seed(seed)
    random = torch.randint(model.config.d_vocab_out, (task.n,), generator=generator)
    run = prompts.run(model, keep=entries(model))
    tokens = torch.stack([prompts.answer, prompts.distractor, random.to(prompts.answer)])
    seen = lens(model, run, tokens)
    rows = torch.arange(task.n, device=prompts.end.device)
    table = _by_layer(seen, rows, prompts.end, task.clusters, seed)
    fresh, gained = _confirmed(model, task, seed)

    wide = tolerance.step(model, float(run.logits.abs().max()))
    own_kl = float(seen.kl[-1][run.real].abs().max())
    checks = [
        Check("the last entry against the model's logits, largest difference", seen.error, wide),
        Check("the last entry's KL to the model, largest", own_kl, wide),
    ]
    verdict = "not supported" if not all(check.passed for check in checks) else "inconclusive"
    if gained is not None and all(check.passed for check in checks):
        verdict = rules.against(0.0, gained[0])
    first_best = _first_kept(table.answer_top)
    words = model.to_str_tokens(run.tokens[example][run.real[example]])
    title = f"Prompt {example}; its answer is {task.kept[example].answer!r}"
    return Report(
        answer=_answer(model, task, first_best, fresh, gained),
        verdict=verdict,
        headlines=[
            *_headlines(gained),
            Headline(
                "answer most likely from layer", first_best, note="on most prompts, to the end"
            ),
        ],
        inputs=[TokenStrip(words, title=title)],
        sections=[
            _overall(table, task),
            _one(model, run, seen, example, words),
            _echo(model, seen, run),
        ],
        controls=[
            *_rule(fresh, gained),
            Text(
                "In the chart of log-probabilities `random` is a token drawn at random for each prompt: "
                f"it ends at {table.random_log_prob.iloc[-1]:.2f} nats, the answer at "
                f"{table.answer_log_prob.iloc[-1]:.2f}. What all three lines do together is the lens, "
                "not the answer."
            ),
        ],
        checks=checks,
        not_run=[] if gained else [NotRun("gained over the last third", _few(model))],
        files={
            "lens": _interface(model, task, run, seen, example),
            **({"confirmation_prompts": fresh.frame()} if gained else {}),
        },
    )


def _confirmed(model, task, seed: int):
    """The fresh prompts, and what answer − wrong gains on them: over the last third of the layers more
    than before, over the last third, before. None for a model without three layers."""
    fresh = task.confirmation
    if model.config.n_layers < THIRDS:
        return fresh, None
    apart = logit_differences(model, whole(fresh, model.device)).cpu().numpy()
    two_thirds = round((len(apart) - 1) * 2 / 3)
    late, early = apart[-1] - apart[two_thirds], apart[two_thirds] - apart[0]
    found = [
        stats.mean(each, fresh.clusters, fresh.items, seed=seed)
        for each in (late - early, late, early)
    ]
    enough = found[0].clusters >= LEAST_CONFIRMING
    return fresh, found if enough else [without_interval(each) for each in found]


def _few(model) -> str:
    layers = model.config.n_layers
    return f"{model.name} has {layers} layer{'s' if layers > 1 else ''}, too few for thirds of them"


def _headlines(gained) -> list[Headline]:
    if gained is None:
        return []
    return [
        figures.headline("answer − wrong, gained over the last third", gained[1], "logits"),
        figures.headline("gained over the first two thirds", gained[2], "logits"),
    ]


def _rule(fresh, gained) -> list[Text]:
    if gained is None:
        return []
    return [
        rules.rule(
            "the answer gains as much over the first two thirds of the layers as over the last third; "
            "the layers were named beforehand. Supported: the interval of the difference lies above zero, "
            "not supported: below.",
            f"prompts like the {fresh.n} held-out ones, of {gained[0].clusters} independent "
            "groups (templates).",
            f"{rules.least(gained[0])} logits; the difference is {float(gained[0].value):.3g}.",
        )
    ]


def _answer(model, task, first_best: str, fresh, gained) -> str:
    known = (
        f"the answer is the most likely token on most prompts from layer {first_best} on"
        if first_best != "never"
        else "the answer is never the most likely token on most prompts"
    )
    said = f"In {model.name} on {task.n} {task.name} prompts {known}"
    if gained is None:
        return f"{said}; {_few(model)}."
    return (
        f"{said}; on {fresh.n} held-out ones it rises above the wrong answer by "
        f"{float(gained[1].value):+.2f} "
        f"logits over the last third of the layers, {float(gained[2].value):+.2f} before."
    )


def _first_kept(share: pd.Series) -> str:
    """The first layer from which on the share stays above a half."""
    over = (share > 0.5).to_numpy()
    if not over[-1]:
        return "never"
    below = np.flatnonzero(~over)
    return str(int(below[-1]) + 1 if len(below) else 0)


def _by_layer(seen, rows, end, clusters, seed: int) -> pd.DataFrame:
    """One row a layer: what the lens shows at the last token, over prompts."""

    def number(tensor):
        return tensor[..., rows, end].double().cpu().numpy()

    log_prob, rank = number(seen.log_prob), number(seen.rank)
    frame = pd.DataFrame({"layer": range(log_prob.shape[1])})
    measured = {
        "answer_log_prob": log_prob[0],
        "wrong_log_prob": log_prob[1],
        "random_log_prob": log_prob[2],
        "logit_difference": log_prob[0] - log_prob[1],
        "kl": number(seen.kl),
        "entropy": number(seen.entropy),
    }
    for name, values in measured.items():
        estimate = stats.mean(values, clusters, seed=seed)
        frame[name] = estimate.value
        frame[f"{name}_low"], frame[f"{name}_high"] = estimate.low, estimate.high
    frame["answer_rank_median"] = np.median(rank[0], axis=-1)
    frame["answer_top"] = (rank[0] == 1).mean(-1)
    return frame.assign(n=len(rows))


def _line(table, column: str, name: str) -> Series:
    x, y, low, high = (
        table[each].tolist() for each in ("layer", column, f"{column}_low", f"{column}_high")
    )
    known = not np.isnan([low, high]).any()
    return Series(name, x, y, low if known else None, high if known else None)


def _overall(table, task) -> Section:
    charts = [
        Chart(
            "Log-probability at the last token",
            "line",
            [_line(table, f"{which}_log_prob", which) for which in ("answer", "wrong", "random")],
            "layers so far",
            "nats",
        ),
        Chart(
            "Answer above wrong answer",
            "line",
            [_line(table, "logit_difference", "answer − wrong")],
            "layers so far",
            "logits",
        ),
        Chart(
            "Distance to the model's own distribution, and how undecided the lens is",
            "line",
            [_line(table, "kl", "KL"), _line(table, "entropy", "entropy")],
            "layers so far",
            "nats",
        ),
    ]
    note = f"At the last token of {task.n} prompts, with 95 % intervals; answer_top is a share of prompts."
    shown = Table("layers", table, note=note, first_rows=10)
    return Section("Over all prompts, at the last token", [*charts, shown])


def _labels(model, task, example: int, tokens: list[str]) -> list[str]:
    """The name of each position in the task, or the token there where it has none."""
    names = {at[example]: name for name, at in places(task).items()}
    names |= {at: name for name, at in task.kept[example].positions.items()}
    return [names.get(position, token) for position, token in enumerate(tokens)]


def _one(model, run, seen, example: int, tokens: list[str]) -> Section:
    real = run.real[example]
    top = seen.top[:, example, real].cpu()
    frame = pd.DataFrame(
        [[repr(model.to_single_str_token(token))[1:-1] for token in row.tolist()] for row in top],
        columns=[f"{place} {token!r}" for place, token in enumerate(tokens)],
    )
    frame.insert(0, "layer", range(len(frame)))
    depth = [str(layer) for layer in range(len(top))]
    maps = {
        "Rank of the answer, log₁₀: 0 is the most likely": seen.rank[0].log10(),
        "KL to the model's own distribution, nats": seen.kl,
        "Entropy, nats": seen.entropy,
    }
    return Section(
        "One prompt, every layer and position",
        [
            Table("top_tokens", frame, title="The most likely token", first_rows=len(frame)),
            Maps(
                [
                    Heatmap(
                        title,
                        values[:, example, real].double().cpu().numpy(),
                        "layer",
                        "pos",
                        rows=depth,
                        columns=tokens,
                        scale="sequential",
                    )
                    for title, values in maps.items()
                ]
            ),
        ],
    )


def _echo(model, seen, run) -> Section:
    same = (seen.top == run.tokens)[:, run.real].double().mean(-1).cpu().numpy()
    tied = (
        "Embedding and unembedding are the same matrix here, so the embedding read out at once is the input "
        "token itself unless the final norm's weight gets in the way: early entries tell what was read."
        if model.config.tied
        else "Embedding and unembedding are two matrices here, so an early entry need not echo its input."
    )
    return Section(
        "The echo of the input",
        [
            Text(tied),
            Chart(
                "Positions where the lens's top token is the input token",
                "line",
                [Series("share", range(len(same)), same)],
                "layers so far",
                "share of positions",
            ),
        ],
    )


def _interface(model, task, run, seen, example: int) -> pd.DataFrame:
    """lens.csv: the prompt shown, one row a layer and position."""
    real = run.real[example]
    tokens = model.to_str_tokens(run.tokens[example][real])
    labels = _labels(model, task, example, tokens)
    n_layers, n_pos = len(seen.top), len(tokens)

    def cells(values):
        return values[:, example, real].double().cpu().numpy().ravel()

    return pd.DataFrame(
        {
            "layer": np.repeat(np.arange(n_layers), n_pos),
            "position": np.tile(np.arange(n_pos), n_layers),
            "label": labels * n_layers,
            "top_token": [
                model.to_single_str_token(token)
                for token in seen.top[:, example, real].flatten().tolist()
            ],
            "answer_rank": cells(seen.rank[0]).astype(np.int64),
            "answer_log_prob": cells(seen.log_prob[0]),
            "kl": cells(seen.kl),
            "entropy": cells(seen.entropy),
        }
    )
